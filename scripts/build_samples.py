"""Build the two sample files that the package ships, from the raw Parquet files of the data collection.

    python scripts/build_samples.py RAW_FOLDER src/synsight/data/sample_files

`RAW_FOLDER` holds `emoji-google.parquet`, `emoji-twitter.parquet`, `vemoji-fluent-emoji.parquet` and
`clipart.parquet`. Written are `emoji.parquet` and `clipart.parquet`; NOTICE, beside them, is kept by hand.
The same input, Pillow and pyarrow give the same bytes.
"""

import argparse
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LONGEST_SIDE = 64
WEBP_QUALITY = 85
MOST_OF_A_SERIES = 30

EMOJI_FILES = ("emoji-google", "emoji-twitter", "vemoji-fluent-emoji")

EMOJI_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("caption", pa.string()),
        ("caption_ja", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("keywords_ja", pa.list_(pa.string())),
        ("category", pa.string()),
        ("subcategory", pa.string()),
        ("group", pa.string()),
        ("domain", pa.string()),
        ("split", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
    ]
)

CLIPART_SCHEMA = pa.schema(
    [field for field in EMOJI_SCHEMA if field.name not in {"caption_ja", "keywords_ja"}]
)

# Folders of openclipart whose drawings are, as a rule, the marks of programs, file formats of vendors, car
# makers or associations. A prefix of any of a row's `categories`.
FOLDERS_LEFT_OUT = (
    "logos",
    "computer/games",
    "computer/icons/applications",
    "computer/icons/etiquette-theme/apps",
    "computer/icons/etiquette-theme/mimetypes",
    "computer/icons/flat-theme/applications",
    "computer/icons/flat-theme/filetypes",
    "computer/icons/lemon-theme/apps",
    "computer/icons/lemon-theme/mimetypes",
    "signs_and_symbols/flags/miscellany",
    "special/examples",
    "transportation/vehicles/hummers",
)

# Marks, brands, program names, protected emblems and characters, found by reading the list of all words of
# captions, keywords, categories and file names, then by looking at every image that was left. Whole words.
WORDS_LEFT_OUT = frozenset(
    """
    abiword acroread adobe airbus ak47 alcatel amarok amsn anjuta apache apacheconf applixware ark
    asterix atari audacity audi babelfish bambi bambie barbie bash batasuna batman beatle beatles
    blazer blender bluefish bmw boeing bzflag cadillac capcom cc celebirt celebrity cervisia
    chevrolet chevy cisco clanbomber clie coca cocacola coke coltrane coolpix corel corvette
    creativecommons dcgui debian disney dodge donald dopewars durex ebay ebuild eclipse edison emacs
    emule ericsson eureka evel facebook fanart fedora ferrari firebird firefox firewire ford gaim
    gameboy gameboypocket garfield garmin gentoo gimp gmail gnome gnu gnutella google grandstream
    gthumb gtk guarddog gvim gxmame harley havok hgttg hideaway honda hp hummer hummers ibm ikarus
    illuminati illustrator inkscape intel ipod isp jabbear jabber jasper java jeep juk k3b kde kexi
    kile kinternet kivio klipper kmail knievel koffice konqueror konsole kopete kubek lego
    lightsaber lightsabers linex linux lowtec lyx mac macintosh magelan mandrake mascot mascott
    matrix mazda mcdonald mcdonalds mercedes mickey microsoft mime mldonkey monop monopoly motorola
    mozilla msie msn muppet napster netbean netscape nfs nikon nintendo noatun nokia novell ntp nvu
    ogg ooo openclipart openoffice opera oracle orleans packman pacman palm palmos penguin pepsi
    phppg pilot pingu pinguino pinguino1 pinguino2 pinguino3 pinguino4 plastik playboy playstation
    pokemon pong pooh porcinet powerpoint procman psycho qt qtella quake red-cross redcross redhat
    rhythmbox rollerblades rollerblading rubik rubish samba samsung scout scouting scouts scribus
    sega shelby simpson simpsons skoda skype smurf snoopy sodipodi soffice sony starexte starwalker
    starwars suse svg-logo t615c tetris tex thunderbird toyota trillian tux unesco unicef
    unitednations usmail usps vgcats vhs vim volkswagen wikipedia wikitronics wilc win win32 wings3d
    winprops wmaker woodstock xbill xbox xemacs xine xmms xmule xp yahoo zinf
    """.split()  # noqa: SIM905  a list a line would be longer than the rest of the file
)

# What only looking finds: the mark is in the image, not in its words; also photographs of private persons,
# and emblems that the law protects. Names of files in the collection.
FILES_LEFT_OUT = frozenset(
    """
    4wd a_happy_boy_01 a_man_singing_01 a_youngster_01 ambulans_romus_01 ambulanza
    ampelfrau_matthew_gates_01 bb_dvd_ bb_usb_ brozo_the_clown_enrique__01 completion cssvalidator
    domo_kun_nicu_buculei_01 domo_kun_nicu_buculei_02 dvd_mount dvd_unmount folder_cyan_open
    folder_grey folder_grey_open folder_orange_open folder_red_open folder_violet folder_violet_open
    folder_yellow folder_yellow_open goto gps_geko__ganson gps_geko_ganson1 grandpa_01
    grune_punkt_andrei_z_01 highscore
    htmlvalidator kaboodleloop kalarm_disabled kbearsitemanager kopeteaway korgac korgac_disabled
    krec_record ksim_cpu ksirc_dock ktnef_extract_to kxkb lattine_di_birra_archite_01
    mr_lakshman_poonyth_ mycomp news_subscribe news_unsubscribe nws_government_website__01
    paramedic_cross_01 poster-example_01 recycle recycle_anthony_liekens_ saku_robot__anton_yu_01
    t-shirt_02 t-shirt_03 tea_not_ready tea_ready tsunami_warning_sign_bob_01 usb usb_mount
    usb_unmount wallet_closed wallet_open wallpaper windows
    """.split()  # noqa: SIM905  a list a line would be longer than the rest of the file
)

SERIES_FOLDERS = re.compile(r"recreation/games/cards/\w+|special/patterns")
"""Folders that hold one series each, beyond what `group` knows."""

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PLACEHOLDER = "someone@example.org"


def shrink(data: bytes) -> bytes:
    """An image as WebP with its longest side at most `LONGEST_SIDE` px."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    longest = max(image.size)
    if longest > LONGEST_SIDE:
        width, height = (max(1, round(side * LONGEST_SIDE / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=WEBP_QUALITY, method=6)
    return out.getvalue()


def difference_hash(data: bytes) -> int:
    """64 bits: is each of 8 x 8 grey values brighter than its left neighbour."""
    grey = Image.open(io.BytesIO(data)).convert("L").resize((9, 8), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.int16)
    return int.from_bytes(np.packbits(values[:, 1:] > values[:, :-1]).tobytes(), "big")


def file_of(row: dict[str, Any]) -> str:
    """The drawing's path in the collection."""
    return str(row["source"]).partition(":")[2]


def words_of(row: dict[str, Any]) -> set[str]:
    """All words by which a row could name a brand, in lower case; compound words also in parts."""
    texts = [
        row["caption"] or "",
        *(row["keywords"] or ()),
        *row["categories"],
        row["source"].partition(":")[2],
    ]
    words = set(re.findall(r"[^\W_]+(?:-[^\W_]+)*", " ".join(texts).lower()))
    return words | {part for word in words for part in word.split("-")}


def why_left_out(row: dict[str, Any]) -> str | None:
    """The reason to leave a clipart row out of the package, or None."""
    if row["licence"] != "public-domain":
        return "licence"
    if row["category"] == "logos" or any(one.startswith(FOLDERS_LEFT_OUT) for one in row["categories"]):
        return "folder"
    if Path(file_of(row)).stem in FILES_LEFT_OUT:
        return "file"
    found = words_of(row) & WORDS_LEFT_OUT
    return f"word {min(found)}" if found else None


def cap_series(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """At most `MOST_OF_A_SERIES` rows of each value of `key`, chosen by a hash of the id; order kept."""
    series = defaultdict(list)
    for row in rows:
        series[row[key]].append(row["id"])
    kept = {
        one
        for ids in series.values()
        for one in sorted(ids, key=lambda text: hashlib.sha256(text.encode()).digest())[:MOST_OF_A_SERIES]
    }
    return [row for row in rows if row["id"] in kept]


def without_addresses(text: str | None) -> str | None:
    """The text with every e-mail address replaced by one that belongs to nobody."""
    return None if text is None else ADDRESS.sub(PLACEHOLDER, text)


def emoji_rows(raw: Path) -> list[dict[str, Any]]:
    """Three vendors' drawings of the same concepts, without the parts (`component`) of other emoji."""
    return [
        row
        for name in EMOJI_FILES
        for row in pq.read_table(raw / f"{name}.parquet").to_pylist()
        if row["category"] != "component"
    ]


def clipart_rows(raw: Path) -> list[dict[str, Any]]:
    """Public-domain drawings without marks, long series cut, captions as messy as they were found."""
    rows = pq.read_table(raw / "clipart.parquet").to_pylist()
    reasons = {row["id"]: why_left_out(row) for row in rows}
    print("clipart left out:", Counter((one or "kept").split()[0] for one in reasons.values()))
    rows = [row for row in rows if reasons[row["id"]] is None]
    for row in rows:
        row["hash"] = difference_hash(row["image"])
        folder = SERIES_FOLDERS.match(file_of(row))
        row["series"] = folder.group() if folder else row["group"]
        row["caption"] = without_addresses(row["caption"])
        row["keywords"] = [without_addresses(one) for one in row["keywords"] or ()]
    return cap_series(cap_series(rows, "series"), "hash")


def write(rows: Iterable[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Shrink the images and write one sample file."""
    table = pa.Table.from_pylist(
        [{name: row[name] for name in schema.names} | {"image": shrink(row["image"])} for row in rows],
        schema=schema,
    )
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=1024)
    print(f"{path.name}: {table.num_rows:,} rows, {path.stat().st_size:,} bytes")


def main() -> None:
    """Read the two folders from the command line and build both samples."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("raw", type=Path, help="folder with the raw Parquet files")
    parser.add_argument("out", type=Path, help="folder of the package's sample files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(emoji_rows(arguments.raw), EMOJI_SCHEMA, arguments.out / "emoji.parquet")
    write(clipart_rows(arguments.raw), CLIPART_SCHEMA, arguments.out / "clipart.parquet")


if __name__ == "__main__":
    main()
