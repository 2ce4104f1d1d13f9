"""Signatures as their schemes define them, with the vectors that the schemes publish, and every way to forge one."""

import base64
import hashlib
import hmac

import pytest

from lake.sources.webhooks.signing import SCHEMES, Refusal, Scheme, key, verify

NOW = 1_700_000_000
BODY = b'{"id": "evt_1", "sku": "A"}'


def mac(secret, message):
    return hmac.new(secret, message, hashlib.sha256)


def test_github_has_its_published_example():
    secret, body = "It's a Secret to Everybody", b"Hello, World!"
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    }
    signed = verify(SCHEMES["github"], [key(secret, SCHEMES["github"])], headers, body, NOW, 300)
    assert signed.delivery_id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def test_standard_webhooks_have_their_published_example():
    scheme, secret = SCHEMES["standard"], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,xxxx",
    }
    body = b'{"test": 2432232314}'
    assert (
        verify(scheme, [key(secret, scheme)], headers, body, 1614265330, 300).delivery_id
        == headers["webhook-id"]
    )
    with pytest.raises(ValueError, match="whsec_ and base64"):
        key("whsec_not base64!", scheme)


def stripe(secret=b"s", at=NOW, body=BODY, header=None):
    header = header or f"t={at},v1={mac(secret, f'{at}.'.encode() + body).hexdigest()}"
    return verify(SCHEMES["stripe"], [b"new", b"s"], {"stripe-signature": header}, body, NOW, 300)


@pytest.mark.parametrize("at", [NOW, NOW - 300, NOW + 300])
def test_a_signature_holds_for_five_minutes_either_way(at):
    assert stripe(at=at).delivery_id is None
    assert stripe(b"new", at).delivery_id is None
    for late in (at - 700, at + 700):
        with pytest.raises(Refusal, match="s ago") as refusal:
            stripe(at=late)
        assert refusal.value.status == 401


@pytest.mark.parametrize(
    "header",
    [
        "", "t=1", "v1=00", f"t={NOW},v1=", f"t={NOW},v0=" + mac(b"s", f"{NOW}.".encode() + BODY).hexdigest(),
        f"t={NOW - 1},v1=" + mac(b"s", f"{NOW}.".encode() + BODY).hexdigest(),
        f"t=-5,v1={'0' * 64}", f"t=1e9,v1={'0' * 64}", f"t={NOW},v1={'é' * 64}", "," * 5000,
        f"t={NOW}," + "v1=00," * 10 + "v1=" + mac(b"s", f"{NOW}.".encode() + BODY).hexdigest(),
    ],
)  # fmt: skip
def test_a_forged_signature_is_refused(header):
    with pytest.raises(Refusal) as refusal:
        verify(SCHEMES["stripe"], [b"s"], {"stripe-signature": header}, BODY, NOW, 300)
    assert refusal.value.status == 401


def test_a_changed_body_is_refused():
    header = f"t={NOW},v1={mac(b's', f'{NOW}.'.encode() + BODY).hexdigest()}"
    assert stripe(header=header)
    with pytest.raises(Refusal, match="wrong signature"):
        stripe(header=header, body=BODY + b" ")


@pytest.mark.parametrize("delivery_id", ["", "a b", "a\nb", "é", "x" * 201, None])
def test_an_id_is_short_visible_text(delivery_id):
    scheme = Scheme("sig", encoding="base64", id_header="Id")
    headers = {"sig": base64.b64encode(mac(b"s", BODY).digest()).decode()}
    if delivery_id is not None:
        headers["id"] = delivery_id
    with pytest.raises(Refusal, match="delivery id") as refusal:
        verify(scheme, [b"s"], headers, BODY, NOW, 300)
    assert refusal.value.status == 400
