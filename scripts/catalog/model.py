"""What the sources are read into: one model, and one component of its price."""

from dataclasses import dataclass, field
from decimal import Decimal

# Priced per million; everything else is priced each.
PER_MILLION = frozenset(
    "input output reasoning cache_read cache_read_audio cache_write cache_write_30m cache_write_1h "
    "cache_write_12h input_audio input_image input_video output_audio output_image output_video citation "
    "character pixel".split()
)
# The order of the conditions in a line.
CONDITIONS = ("tier", "above", "from", "past", "region", "speed", "context", "quality", "size", "off_peak")
MODALITIES = frozenset({"text", "image", "audio", "video", "pdf"})
# Digits that count, and digits behind the point. What is beyond is an artefact of somebody's division or binary
# fractions: 4.0000000000000003e-07.
DIGITS = 12


@dataclass(frozen=True)
class Price:
    """US dollars, exactly, for a million or for one of `meter`, where all of `when` holds."""

    meter: str
    usd: Decimal
    when: tuple = ()

    @staticmethod
    def each(meter: str, usd: Decimal, **when: object) -> "Price":
        """From the price of one."""
        return Price.listed(meter, usd * (1_000_000 if meter in PER_MILLION else 1), **when)

    @staticmethod
    def listed(meter: str, usd: Decimal, **when: object) -> "Price":
        """From the price as lists show it: for a million tokens, for one of anything else."""
        given = tuple((name, str(when[name])) for name in CONDITIONS if when.get(name) is not None)
        return Price(meter, exact(usd), given)

    @property
    def key(self) -> tuple:
        return (self.meter, self.when)

    def __str__(self) -> str:
        return " ".join([self.meter, plain(self.usd), *(f"{name}={value}" for name, value in self.when)])


@dataclass
class Model:
    provider: str
    upstream: str
    aliases: set = field(default_factory=set)
    mode: str = ""
    endpoints: tuple = ()
    modalities: tuple = ((), ())
    limits: dict = field(default_factory=dict)
    # True: has it; False: has it not; absent: nobody says.
    capabilities: dict = field(default_factory=dict)
    default_effort: str = ""
    lifecycle: dict = field(default_factory=dict)
    prices: dict = field(default_factory=dict)
    factors: dict = field(default_factory=dict)
    free: tuple = ()
    off_peak: tuple = ()
    # Field to the letters of the sources: the first gave the value, the others say the same.
    provenance: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.upstream}"

    def add(self, price: Price) -> None:
        self.prices.setdefault(price.key, price)

    def base(self, meter: str) -> Decimal | None:
        price = self.prices.get((meter, ()))
        return price.usd if price else None


def exact(usd: Decimal) -> Decimal:
    digits = usd.normalize()
    if len(digits.as_tuple().digits) > DIGITS:
        digits = Decimal(f"{usd:.{DIGITS - 1}e}")
    if digits.as_tuple().exponent < -DIGITS:
        digits = digits.quantize(Decimal(1).scaleb(-DIGITS))
    return digits.normalize()


def plain(number: Decimal) -> str:
    text = format(number.normalize(), "f")
    return "0" if text in ("-0", "") else text
