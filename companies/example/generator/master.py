"""Exports of master data, terms, prices, promotions and freight rates; each system in its own dialect."""

from collections.abc import Iterator

import polars as pl

from generator.texts import Days, decimals, pick
from generator.versions import OWN_LIST, item_versions, supplier_versions, terms_versions
from generator.world import World
from generator.writing import Dialect, Export

OLD_ERP = Dialect(
    delimiter=";", encoding="latin-1", line_end="\r\n", quoted=("Description",), date_format="%d.%m.%Y"
)
TERMS = Dialect(delimiter=";")
OWN_TERMS = Dialect(delimiter=";", encoding="latin-1", line_end="\r\n", quoted=("Artikel",))
PALLET_UNITS = 480
PRICE_LIST = Dialect(delimiter="|")
SUPPLIERS = Dialect(line_end="\r\n")
PLACES = Dialect(quoted=("location", "name", "type", "region", "replenished_from"))


def master_exports(world: World) -> Iterator[Export]:
    """Yield the files that are replaced whole with each delivery."""
    yield Export("item", "erp/item.csv", _items(world, _newest(item_versions(world), "item")), OLD_ERP)
    yield _locations(world)
    frame = _suppliers(world, _newest(supplier_versions(world), "supplier"))
    yield Export("supplier", "erp/supplier.csv", frame, SUPPLIERS)
    yield from _supplier_items(world)
    yield _prices(world)
    yield _freight_rates(world)
    yield _promotions(world)


def log_exports(world: World) -> Iterator[Export]:
    """Yield the log of changes: what stood in the master files before."""
    items, suppliers = item_versions(world), supplier_versions(world)
    yield Export("item", "erp/item_log.csv", _items(world, _earlier(items, "item")), OLD_ERP)
    earlier = _suppliers(world, _earlier(suppliers, "supplier"))
    yield Export("supplier", "erp/renamed_supplier.csv", earlier, SUPPLIERS)
    terms = _terms(world, _earlier(terms_versions(world), "supplier", "item"))
    yield Export("supplier_item", "erp/supplier_item_log.csv", terms, TERMS)


def _newest(versions: pl.DataFrame, *key: str) -> pl.DataFrame:
    return versions.group_by(key, maintain_order=True).last().select(versions.columns)


def _earlier(versions: pl.DataFrame, *key: str) -> pl.DataFrame:
    return versions.join(_newest(versions, *key), on=versions.columns, how="anti", maintain_order="left")


def _items(world: World, versions: pl.DataFrame) -> pl.DataFrame:
    days = Days(world.sizes.start, world.sizes.days, OLD_ERP.date_format)
    item = versions["item"].to_numpy()
    return pl.DataFrame(
        {
            "ItemNo": pick(world.item_id, item),
            "Description": pick(world.item_name, item),
            "Category": world.category[item],
            "WeightKg": decimals(world.weight_g[item], 3),
            "VolumeM3": decimals(world.weight_g[item] * 2, 6),
            "ListPrice": decimals(versions["cents"], 2),
            "IntroducedOn": days(world.introduced[item]),
            "Discontinued": pick(["N", "Y"], versions["ended"]),
            "ChangedOn": days(versions["day"]),
        }
    )


def _suppliers(world: World, versions: pl.DataFrame) -> pl.DataFrame:
    days = Days(world.sizes.start, world.sizes.days)
    return pl.DataFrame(
        {
            "supplier_id": pick(world.supplier_id, versions["supplier"]),
            "supplier_name": versions["name"],
            "country": pick(world.country, versions["supplier"]),
            "changed_on": days(versions["day"]),
        }
    )


def _locations(world: World) -> Export:
    centres = world.centres
    frame = pl.DataFrame(
        {
            "location": world.location_id,
            "name": world.location_name,
            "type": ["distribution_centre"] * centres + ["store"] * world.sizes.stores,
            "region": world.region,
            "replenished_from": [None] * centres + [world.location_id[c] for c in world.centre_of_store],
        },
        schema_overrides={"replenished_from": pl.String},
    )
    return Export("location", "erp/location.csv", frame, PLACES)


def _terms(world: World, terms: pl.DataFrame) -> pl.DataFrame:
    days = Days(world.sizes.start, world.sizes.days)
    return pl.DataFrame(
        {
            "Supplier": pick(world.supplier_id, terms["supplier"]),
            "Item": pick(world.item_id, terms["item"]),
            "LeadTimeDays": terms["lead_time_days"].cast(pl.String),
            "MinOrderQty": terms["minimum_units"].cast(pl.String),
            "PackSize": terms["pack_units"].cast(pl.String),
            "NetPrice": decimals(terms["price_cents"], 2),
            "Preferred": pick(["N", "Y"], terms["preferred"].cast(pl.Int64)),
            "ValidFrom": days(terms["valid_from"]),
        }
    )


def _supplier_items(world: World) -> Iterator[Export]:
    """Yield the ERP's terms, and those of the supplier who sends a price list of its own instead."""
    frame = _terms(world, _newest(terms_versions(world), "supplier", "item"))
    own = pl.col("Supplier") == world.supplier_id[OWN_LIST]
    yield Export("supplier_item", "erp/supplier_item.csv", frame.filter(~own), TERMS)
    listed = frame.filter(own)
    if listed.height:
        path = f"suppliers/{world.supplier_id[OWN_LIST]}_Preisliste.csv"
        yield Export("supplier_price_list", path, _price_list(world, listed), OWN_TERMS)


def _price_list(world: World, terms: pl.DataFrame) -> pl.DataFrame:
    """Return the terms as the supplier writes them: German headers, 1.234,56 and dd.mm.yyyy."""
    cents = world.terms.filter(pl.col("supplier") == OWN_LIST)["price_cents"].to_list()
    return terms.select(
        pl.col("Item").alias("Artikel"),
        pl.col("LeadTimeDays").alias("Lieferzeit (Tage)"),
        pl.col("MinOrderQty").alias("Mindestmenge"),
        pl.col("PackSize").alias("Verpackung"),
        pl.Series("Stückpreis", [_local(value) for value in cents], dtype=pl.String),
        pl.Series("Palettenpreis", [_local(value * PALLET_UNITS) for value in cents], dtype=pl.String),
        pl.col("Preferred").replace_strict({"Y": "Ja", "N": "Nein"}).alias("Hauptlieferant"),
        pl.col("ValidFrom").str.to_date().dt.strftime("%d.%m.%Y").alias("Gültig ab"),
    )


def _local(cents: int) -> str:
    """Write 123456 cents as 1.234,56."""
    return f"{cents // 100:,}".replace(",", ".") + f",{cents % 100:02}"


def _prices(world: World) -> Export:
    days = Days(world.sizes.start, world.sizes.days)
    known = world.prices.filter(pl.col("published") < world.sizes.days)
    frame = pl.DataFrame(
        {
            "item": pick(world.item_id, known["item"]),
            "location": pl.Series([None] * known.height, dtype=pl.String),
            "valid_from": days(known["valid_from"]),
            "unit_price": decimals(known["cents"], 2),
            "published_on": days(known["published"]),
        }
    )
    return Export("price", "erp/price.csv", frame, PRICE_LIST)


def _freight_rates(world: World) -> Export:
    rates = world.freight.filter(pl.col("published") <= world.sizes.end_date)
    frame = pl.DataFrame(
        {
            "origin": rates["origin"],
            "destination": rates["destination"],
            "mode": rates["mode"],
            "valid_from": rates["valid_from"].cast(pl.String),
            "rate_per_kg": decimals(rates["rate"], 4),
            "minimum_charge": decimals(rates["minimum_cents"], 2),
            "fuel_surcharge_share": decimals(rates["fuel_bp"], 4),
            "published_on": rates["published"].cast(pl.String),
        }
    )
    return Export("freight_rate", "logistics/freight_rate.csv", frame)


def _promotions(world: World) -> Export:
    days = Days(world.sizes.start, world.sizes.days)
    rows = world.promotions.filter(pl.col("announced") < world.sizes.days)
    places = [*world.location_id[world.centres :], None]
    frame = pl.DataFrame(
        {
            "Promotion": rows["promotion"],
            "Item": pick(world.item_id, rows["item"]),
            "Location": pl.Series([places[s] for s in rows["store"]], dtype=pl.String),
            "Starts": days(rows["starts"]),
            "Ends": days(rows["ends"]),
            "Discount": decimals(rows["discount_bp"], 4),
            "Announced on": days(rows["announced"]),
            "Remark": pl.Series(
                [None if s < 0 else "this store only" for s in rows["store"]], dtype=pl.String
            ),
        }
    )
    return Export("promotion", "spreadsheets/promotion_calendar.xlsx", frame, first_row=5)
