"""Names, addresses and metadata of the synthetic business, with all that makes CSV hard. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A customer."""

    id: str
    name: str
    email: str
    line1: str
    city: str
    state: str | None
    postal_code: str
    country: str


PEOPLE = (
    Person("cus_01", "Ada Lovelace", "ada@example.com", "12 St James's Square", "London", None, "SW1Y 4JH", "GB"),
    Person("cus_02", "O'Brien, Pat", "pat@example.com", "1 Main St, Apt 4", "Springfield", "IL", "00501", "US"),
    Person("cus_03", 'Dwayne "The Rock" Jones', "rock@example.com", '7 "B" Street', "Austin", "TX", "73301", "US"),
    Person("cus_04", "山田 太郎", "taro@example.jp", "千代田区1-1", "東京", "東京都", "100-0001", "JP"),
    Person("cus_05", "فاطمة العلي", "fatima@example.com", "شارع الخليج", "الكويت", None, "13001", "KW"),
    Person("cus_06", "Jürgen Groß 🦄", "jg@example.de", "Straße des 17. Juni 1", "Berlin", None, "01099", "DE"),
    Person("cus_07", "Multi\nLine", "ml@example.com", "c/o Somebody\r\nBack door", "Lyon", None, "69001", "FR"),
    Person("cus_08", "", "1e5@example.com", "0042", "true", None, "0", "US"),
)

METADATA_VALUES = {
    "order_id": ("0042", "6735", "1e5", "00000000000000000001", "true"),
    "orderId": ("A-1", "a,b", 'say "hi"', ""),
    "Order-ID": ("x", "X", " x "),
    "注文": ("一", "二, 三"),
    "seats": ("1", "25", "400"),
    "note": ("first line\nsecond line", "carriage\r\nreturn", "💶 paid", "NULL", "null", "x" * 300),
}
"""Keys that differ only in case or punctuation, are in another script; values that look like other types."""
