"""How each system spells what all of them talk about: codes, names, identifiers; and suppliers that the ERP has twice.

The ERP's codes are the true ones. The forwarder (logistics) and the planners (spreadsheets) have lists of their own, in which
a share of the codes differs (prefix, dashes, zeros, case, codes of a system long gone), names are misspelt, and identifiers
stand in part. Their files use their own codes. What is what stands in the truth folder, `code`.
"""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from generator.texts import decimals, pick
from generator.world import World
from generator.writing import Dialect, Export, with_frame

DIFFERENT_CODES = 0.20
MISSPELT_NAMES = 0.05
DOUBLED_SUPPLIERS = 0.02
GTIN_SHARE = {"erp": 0.75, "logistics": 0.65, "spreadsheets": 0.35}
PART_SHARE = {"erp": 0.60, "logistics": 0.40}
VENDOR_PART_SHARE = {"erp": 0.70, "logistics": 0.50}
TAX_SHARE = {"erp": 0.85, "logistics": 0.30}
MAKERS = ("Lakeside Mfg", "Blue Ridge Brands", "Cascade Home", "Prairie & Sons", "Gulf Products")
STREETS = (
    "Mill Street",
    "Harbor Road",
    "Foundry Avenue",
    "Station Street",
    "Canal Road",
    "Orchard Lane",
    "Quarry Road",
)
CITIES = {
    "US": ("Akron", "Dayton", "Toledo", "Canton", "Salem", "Eugene", "Waco", "Tyler"),
    "CA": ("London", "Windsor", "Guelph"),
    "MX": ("Apodaca", "Saltillo"),
    "DE": ("Bremen", "Lübeck", "Stade"),
    "CN": ("Foshan", "Dongguan", "Zhuhai"),
}
ARTICLES = Dialect(quoted=("description",))
PLANNERS = Dialect(delimiter=";", quoted=("Description",))


class Spelling:
    """The other systems' words; `factor` scales the shares of what differs, 0 lets all systems write as the ERP does."""

    def __init__(self, world: World, factor: float) -> None:
        """Decide every spelling once, from random streams of its own."""
        self._world, self._factor = world, factor
        self._random = world.sizes.random("spelling")
        count = world.sizes.items
        self._gtin = [_gtin(n) for n in self._random.permutation(9 * 10**5)[:count] + 10**5]
        self._maker = self._random.integers(0, len(MAKERS), count)
        self._part = [
            f"{'KXRTV'[m]}{n:04d}-{i % 97:02d}"
            for i, (m, n) in enumerate(
                zip(self._maker, self._random.permutation(9000)[:count] + 1000, strict=False)
            )
        ]
        self._part += [f"Z{i:06d}" for i in range(len(self._part), count)]
        self._items = {s: self._codes(world.item_id) for s in ("logistics", "spreadsheets")}
        self._suppliers = self._codes(world.supplier_id)
        self._places = self._codes(world.location_id)
        self._addresses = self._make_addresses()
        self._doubles = self._make_doubles()

    def respell(self, export: Export) -> Export:
        """Return an export of the other modules as its system writes it."""
        frame = export.frame
        items = dict(zip(self._world.item_id, self._items["spreadsheets"], strict=True))
        places = dict(zip(self._world.location_id, self._places, strict=True))
        shippers = dict(zip(self._world.supplier_id, self._suppliers, strict=True))
        match export.dataset:
            case "item":
                is_log = export.path != "erp/item.csv"  # which keeps no identifiers
                frame = (
                    _blank(frame, "GTIN", "Maker", "MakerPart") if is_log else self._with_identifiers(frame)
                )
            case "supplier":
                is_log = export.path != "erp/supplier.csv"
                frame = (
                    _blank(frame, "tax_id", "street", "postal_code", "city", before="changed_on")
                    if is_log
                    else self._supplier_list(frame)
                )
            case "supplier_item" | "supplier_price_list":
                frame = self._with_vendor_parts(export.dataset, frame)
            case "purchase_order_line":
                frame = self._with_doubles(frame)
            case "stock_count":
                frame = _replaced(frame, {"Item / Code": items, "Place / Location": places})
            case "promotion":
                frame = _replaced(frame, {"Item": items, "Location": places})
            case "shipment_event" | "freight_rate":
                frame = _replaced(frame, {"origin": shippers})
            case "carrier_event":
                frame = _replaced(frame, {"route.from": shippers})
        return with_frame(export, frame)

    def lists(self) -> Iterator[Export]:
        """Yield the lists of the other systems."""
        world, random = self._world, self._random
        count = world.sizes.items
        given = {s: self._some(share, count) for s, share in GTIN_SHARE.items() if s != "erp"}
        first = world.terms.filter(pl.col("preferred")).sort("item")
        grams = np.round(world.weight_g * random.uniform(1.0, 1.03, count) / 10).astype(int).clip(1) * 10
        part, vendor = (
            self._some(PART_SHARE["logistics"], count),
            self._some(VENDOR_PART_SHARE["logistics"], count),
        )
        articles = pl.DataFrame(
            {
                "article": self._items["logistics"],
                "description": [name.upper().replace(",", "") for name in self._names(world.item_name)],
                "gross_weight_kg": decimals(grams, 3),
                "ean": self._masked(self._gtin, given["logistics"]),
                "maker": self._masked([MAKERS[m].upper() for m in self._maker], part),
                "maker_part": self._masked([text.replace("-", " ") for text in self._part], part),
                "shipper": self._masked(pick(self._suppliers, first["supplier"]).to_list(), vendor),
                "shipper_part": self._masked(
                    [_vendor_part(s, i) for s, i in zip(first["supplier"], first["item"], strict=True)],
                    vendor,
                ),
            },
            schema_overrides=dict.fromkeys(
                ("ean", "maker", "maker_part", "shipper", "shipper_part"), pl.String
            ),
        )
        yield Export("article", "logistics/article.csv", articles, ARTICLES)
        yield Export("shipper", "logistics/shipper.csv", self._shippers(), Dialect(quoted=("name", "city")))
        cents = (
            world.prices.sort("item", "valid_from")
            .group_by("item", maintain_order=True)
            .last()
            .sort("item")["cents"]
        )
        planned = pl.DataFrame(
            {
                "Code": self._items["spreadsheets"],
                "Description": self._names(world.item_name),
                "Category": world.category,
                "Price": decimals(
                    np.where(random.random(count) < 0.1, cents.to_numpy() * 103 // 100, cents.to_numpy()), 2
                ),
                # A spreadsheet takes an EAN for a number.
                "EAN": self._masked([text.lstrip("0") for text in self._gtin], given["spreadsheets"]),
            },
            schema_overrides={"EAN": pl.String},
        )
        yield Export("planner_item", "spreadsheets/item_list.csv", planned, PLANNERS)
        places = pl.DataFrame({"Code": self._places, "Name": self._names(world.location_name)})
        yield Export("planner_location", "spreadsheets/location_list.csv", places, PLANNERS)

    def codes(self) -> pl.DataFrame:
        """Return the truth: kind, system, code, true_id of every code of every list."""
        world = self._world
        rows = [("item", "erp", code, code) for code in world.item_id]
        rows += [("supplier", "erp", code, code) for code in world.supplier_id]
        rows += [("location", "erp", code, code) for code in world.location_id]
        for system, codes in self._items.items():
            rows += [("item", system, code, true) for code, true in zip(codes, world.item_id, strict=True)]
        rows += [
            ("supplier", "logistics", c, true)
            for c, true in zip(self._suppliers, world.supplier_id, strict=True)
        ]
        rows += [
            ("location", "spreadsheets", c, true)
            for c, true in zip(self._places, world.location_id, strict=True)
        ]
        rows += [("supplier", "erp", code, world.supplier_id[s]) for s, code in self._doubles]
        return pl.DataFrame(rows, schema=["kind", "system", "code", "true_id"], orient="row")

    def _codes(self, true: list[str]) -> list[str]:
        """Return another system's codes: a share of them spelled differently, none of them ambiguous."""
        codes, taken = list(true), set(true)
        for turn, index in enumerate(self._chosen(DIFFERENT_CODES, len(true))):
            head, _, number = true[index].rpartition("-")
            spelled = (
                f"{head}{number}",
                true[index].lower(),
                f"{head}-0{number}" if not number.startswith("0") else f"{head}-{number.lstrip('0')}",
                f"L{number}",
                f"{'QWZ'[turn % 3]}{self._random.integers(10_000, 99_999)}{head[:1]}",
            )[turn % 5]
            if spelled not in taken:
                taken.add(spelled)
                codes[index] = spelled
        return codes

    def _names(self, true: list[str]) -> list[str]:
        names = list(true)
        for index in self._chosen(MISSPELT_NAMES, len(true)):
            names[index] = self._misspelt(names[index])
        return names

    def _misspelt(self, name: str) -> str:
        """Swap, drop or double one letter, never the first, never a digit."""
        places = [i for i in range(1, len(name) - 1) if name[i].isalpha() and name[i + 1].isalpha()]
        place = places[int(self._random.integers(0, len(places)))]
        left, here, after, right = name[:place], name[place], name[place + 1], name[place + 2 :]
        return left + (after + here, after, here + here + after)[int(self._random.integers(0, 3))] + right

    def _chosen(self, share: float, count: int) -> np.ndarray:
        due = min(math.ceil(round(share * self._factor * count, 6)), count)
        return np.sort(self._random.choice(count, due, replace=False))

    def _some(self, share: float, count: int) -> np.ndarray:
        return self._random.random(count) < share

    @staticmethod
    def _masked(values: list[str], given: np.ndarray) -> list[str | None]:
        return [value if there else None for value, there in zip(values, given, strict=True)]

    def _with_identifiers(self, frame: pl.DataFrame) -> pl.DataFrame:
        count = frame.height
        part = self._some(PART_SHARE["erp"], count)
        return frame.with_columns(
            pl.Series(
                "GTIN", self._masked(self._gtin, self._some(GTIN_SHARE["erp"], count)), dtype=pl.String
            ),
            pl.Series("Maker", self._masked([MAKERS[m] for m in self._maker], part), dtype=pl.String),
            pl.Series("MakerPart", self._masked(self._part, part), dtype=pl.String),
        )

    def _with_vendor_parts(self, dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
        ids = {code: n for n, code in enumerate(self._world.item_id)}
        own = dataset == "supplier_price_list"
        items = [ids[code] for code in frame["Artikel" if own else "Item"]]
        suppliers = (
            [0] * len(items) if own else [self._world.supplier_id.index(code) for code in frame["Supplier"]]
        )
        given = self._some(1.0 if own else VENDOR_PART_SHARE["erp"], len(items))
        parts = self._masked([_vendor_part(s, i) for s, i in zip(suppliers, items, strict=True)], given)
        return frame.with_columns(pl.Series("Bestellnummer" if own else "VendorPart", parts, dtype=pl.String))

    def _make_addresses(self) -> list[tuple[str, str, str, str]]:
        """Return street, postal code, city and tax number of each supplier."""
        made = []
        for country in self._world.country:
            n = int(self._random.integers(1, 400))
            city = CITIES[country][n % len(CITIES[country])]
            street = f"{n} {STREETS[int(self._random.integers(0, len(STREETS)))]}"
            made.append(
                (
                    street,
                    f"{self._random.integers(10_000, 99_999)}",
                    city,
                    f"{self._random.integers(10**8, 10**9)}",
                )
            )
        return made

    def _make_doubles(self) -> list[tuple[int, str]]:
        """Return (supplier, second code) of those that the ERP has twice."""
        count = self._world.sizes.suppliers
        chosen = self._chosen(DOUBLED_SUPPLIERS, count)
        return [(int(s), f"SUP-{count + n + 1:03d}") for n, s in enumerate(chosen)]

    def _supplier_list(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the ERP's list: every supplier as in `frame`, then the doubles, spelled by another clerk."""
        world, given = self._world, self._some(TAX_SHARE["erp"], self._world.sizes.suppliers)
        rows = [
            (code, name, country, _tax(country, address[3]) if tax else None, *address[:3])
            for code, name, country, address, tax in zip(
                world.supplier_id, world.supplier_name, world.country, self._addresses, given, strict=True
            )
        ]
        for n, (index, code) in enumerate(self._doubles):
            street, postal_code, city, tax = self._addresses[index]
            country, name = world.country[index], world.supplier_name[index]
            spelled = (f"{name.upper()} INC.", f"{self._misspelt(name)}", f"{name}, Ltd")[n % 3]
            again = None if self._random.random() < 0.5 else f"{tax[:2]}-{tax[2:]}"
            street = (street.replace("Street", "St.").replace("Road", "Rd."), street.upper(), street)[n % 3]
            rows.append((code, spelled, country, again, street, postal_code, city))
        names = ["supplier_id", "supplier_name", "country", "tax_id", "street", "postal_code", "city"]
        listed = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
        since = listed.join(
            frame.select("supplier_id", "changed_on"), on="supplier_id", how="left", maintain_order="left"
        )
        return since.with_columns(pl.col("changed_on").fill_null(frame["changed_on"].min()))

    def _shippers(self) -> pl.DataFrame:
        world, given = self._world, self._some(TAX_SHARE["logistics"], self._world.sizes.suppliers)
        return pl.DataFrame(
            {
                "shipper": self._suppliers,
                "name": [name.upper() for name in self._names(world.supplier_name)],
                "country": world.country,
                "city": [address[2].upper() for address in self._addresses],
                "postal_code": [address[1] for address in self._addresses],
                "tax_number": self._masked([address[3] for address in self._addresses], given),
            },
            schema_overrides={"tax_number": pl.String},
        )

    def _with_doubles(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Let a third of a doubled supplier's orders be under its second code."""
        second = {self._world.supplier_id[s]: code for s, code in self._doubles}
        third = pl.col("PO Number").str.slice(2).cast(pl.Int64) % 3 == 0
        other = pl.col("Vendor").replace(second)
        return frame.with_columns(pl.when(third).then(other).otherwise(pl.col("Vendor")).alias("Vendor"))


def _blank(frame: pl.DataFrame, *names: str, before: str | None = None) -> pl.DataFrame:
    last = [before] if before else []
    empty = [pl.lit(None, pl.String).alias(name) for name in names]
    return frame.select(pl.exclude(last) if last else pl.all(), *empty, *last)


def _replaced(frame: pl.DataFrame, spelled: dict[str, dict[str, str]]) -> pl.DataFrame:
    return frame.with_columns(pl.col(column).replace(codes) for column, codes in spelled.items())


def _gtin(number: int) -> str:
    """Return a GTIN-13 of the range that GS1 keeps for examples."""
    digits = f"952{number:09d}"
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits))
    return f"{digits}{-total % 10}"


def _tax(country: str, number: str) -> str:
    return f"{country}{number}" if country == "DE" else f"{number[:2]}-{number[2:]}"


def _vendor_part(supplier: int, item: int) -> str:
    """Return the supplier's own number of an item."""
    return f"{chr(65 + supplier % 26)}{supplier % 10}-{item * 13 % 9973 + 10:05d}"
