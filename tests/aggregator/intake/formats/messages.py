"""Synthetic valid messages of each format, and helpers to change one."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aggregator.intake.formats import dsmr, glow, shelly, tasmota
from aggregator.intake.formats.message import Content, DeviceRules, Origin, Parse


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


AT = utc("2026-02-01T07:10:20")
NOW = AT + 5
GLOW, SHELLY = "0123456789AB", "shellyem-B9F355"

ELECTRICITY: dict[str, Any] = {
    "electricitymeter": {
        "timestamp": "2026-02-01T07:10:20Z",
        "energy": {
            "export": {"cumulative": 12.004, "units": "kWh"},
            "import": {
                "cumulative": 4120.317,
                "day": 1.204,
                "week": 40.113,
                "month": 1.204,
                "units": "kWh",
                "mpan": "1100000000000",
                "supplier": "ACME",
                "price": {"unitrate": 0.24500, "standingcharge": 0.53100},
            },
        },
        "power": {"value": 0.612, "units": "kW"},
    }
}
GAS: dict[str, Any] = {
    "gasmeter": {
        "timestamp": "2026-02-01T07:10:20Z",
        "energy": {
            "import": {
                "cumulative": 20411.08,
                "day": 17.326,
                "week": 17.326,
                "month": 383.157,
                "units": "kWh",
                "cumulativevol": 1837.102,
                "cumulativevolunits": "m3",
                "dayvol": 17.326,
                "mprn": "1100000000",
                "supplier": "---",
                "price": {"unitrate": 0.0612, "standingcharge": 0.31},
            }
        },
    }
}
STATE: dict[str, Any] = {
    "timestamp": "2026-02-01T07:10:20Z",
    "software": "v2.0.2",
    "hardware": "GLOW-IHD-02-1v4-SMETS2",
    "smetsversion": "SMETS2",
    "eui": "70:B3:D5:00:00:00:00:01",
    "zigbee": "1.2.5",
    "han": {"rssi": -71, "status": "joined", "lqi": 96},
}
HEX: dict[str, Any] = {
    "elecMtr": {
        "0702": {
            "00": {"00": "0000003EDF1D", "01": "000000002EE4", "02": "000000000000", "07": "00000000", "14": "02"},
            "02": {"00": "00"},
            "03": {"00": "00", "01": "00000001", "02": "000003E8", "03": "2B", "06": "00", "07": "1100000000000"},
            "04": {"00": "000264", "01": "0004B4", "30": "009CB1", "40": "0004B4"},
        },
        "0708": {"01": {"01": "ACME"}},
    },
    "gasMtr": {
        "0702": {
            "00": {"00": "0000001C083E", "14": "02"},
            "03": {"00": "01", "01": "00000001", "02": "000003E8", "06": "80", "07": "1100000000", "12": "00"},
            "0C": {"01": "0043AE", "30": "0043AE", "40": "05D8B5"},
        }
    },
    "ts": "2026-02-01 07:10:20",
    "hversion": "GLOW-IHD-01-1v4-SMETS2",
    "time": "697EFC5C",
    "zbSoftVer": "1.2.5",
    "gmtime": AT,
    "pan": {"rssi": "B9", "status": "joined", "nPAN": "00", "join": "0", "lqi": "60"},
    "ets": "2026-02-01 07:10:20",
    "gid": "0123456789ABCDEF",
}
EMETERS: dict[str, Any] = {
    "wifi_sta": {"connected": True, "ip": "192.0.2.7", "rssi": -54},
    "time": "08:10",
    "unixtime": AT,
    "serial": 13416,
    "emeters": [
        {
            "power": 98.55,
            "reactive": -159.32,
            "voltage": 239.38,
            "is_valid": True,
            "total": 9188.8,
            "total_returned": 77.0,
        },
        {
            "power": -620.34,
            "reactive": 0.0,
            "voltage": 239.38,
            "is_valid": True,
            "total": 73.4,
            "total_returned": 294.2,
        },
    ],
    "uptime": 325,
}
THREE_PHASES: dict[str, Any] = {
    "unixtime": AT,
    "emeters": [
        {"power": 51.08, "pf": 0.27, "is_valid": True, "total": 1686297.2, "total_returned": 428958.4},
        {"power": 155.02, "pf": 0.98, "is_valid": True, "total": 878905.6, "total_returned": 4.1},
        {"power": 6.75, "pf": 0.26, "is_valid": True, "total": 206151.1, "total_returned": 0.0},
    ],
    "total_power": 212.85,
}
CLAMPS: dict[str, Any] = {
    "em1:0": {"id": 0, "current": 4.0, "voltage": 230.1, "act_power": 951.2, "calibration": "factory"},
    "em1:1": {"id": 1, "current": 0.9, "voltage": 230.1, "act_power": -207.6, "calibration": "factory"},
    "em1data:0": {"id": 0, "total_act_energy": 31273.19, "total_act_ret_energy": 12.0},
    "em1data:1": {"id": 1, "total_act_energy": 2776.95, "total_act_ret_energy": 402118.5},
    "sys": {"mac": "A8032ABE0001", "time": "08:10", "unixtime": AT, "uptime": 11081},
}
TRIPHASE: dict[str, Any] = {
    "em:0": {"id": 0, "a_act_power": 5.6, "b_act_power": 7.8, "c_act_power": -4.2, "total_act_power": 9.2},
    "emdata:0": {"id": 0, "a_total_act_energy": 9.1, "total_act": 3171000.51, "total_act_ret": 5.12},
    "sys": {"unixtime": AT},
}
NOTIFIED: dict[str, Any] = {
    "src": "shellyproem50-a8032abe0001",
    "dst": "shellyproem50-a8032abe0001/events",
    "method": "NotifyStatus",
    "params": {"ts": AT + 0.42, "em1data:0": {"id": 0, "total_act_energy": 31273.19, "total_act_ret_energy": 12.0}},
}
TASMOTA: dict[str, Any] = {
    "Time": "2026-02-01T08:10:20",
    "ENERGY": {
        "TotalStartTime": "2023-11-23T15:33:47",
        "Total": 2017.118,
        "TotalTariff": [1000.0, 1017.118],
        "Yesterday": 3.2,
        "Today": 0.702,
        "ExportActive": 12.5,
        "Power": 431,
        "ApparentPower": 440,
        "Factor": 0.98,
        "Voltage": 234,
        "Current": 1.9,
    },
}
SML: dict[str, Any] = {
    "Time": "2026-02-01T08:10:20",
    "SML": {"Total_in": 9121.3184, "Total_out": 12.0041, "Power_curr": -431, "Meter_Id": "0a014546520000000017"},
}
TELEGRAM = r"""/ISK5\2M550T-1012

1-3:0.2.8(50)
0-0:1.0.0(260201081020W)
0-0:96.1.1(4530303438303030303030303030303137)
1-0:1.8.1(004120.317*kWh)
1-0:1.8.2(005001.001*kWh)
1-0:2.8.1(000012.004*kWh)
1-0:2.8.2(000000.000*kWh)
0-0:96.14.0(0002)
1-0:1.7.0(00.612*kW)
1-0:2.7.0(00.000*kW)
0-0:96.7.21(00004)
0-0:96.7.9(00002)
1-0:99.97.0(2)(0-0:96.7.19)(221208152415W)(0000000240*s)(221208151004W)(0000000301*s)
1-0:32.32.0(00002)
0-0:96.13.0()
1-0:32.7.0(230.1*V)
1-0:31.7.0(003*A)
1-0:21.7.0(00.612*kW)
1-0:22.7.0(00.000*kW)
0-1:24.1.0(003)
0-1:96.1.0(4730303339303031363532303530323136)
0-1:24.2.1(260201081000W)(01837.102*m3)
!"""


def sealed(telegram: str) -> bytes:
    """Return a telegram with a meter's line ends and checksum."""
    content = telegram.replace("\n", "\r\n").encode("latin-1")
    return content + f"{bitwise_crc16(content):04X}\r\n".encode()


def bitwise_crc16(content: bytes) -> int:
    """Compute CRC-16/ARC bit by bit, as defined."""
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def but(message: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return a message with keys changed by path, with `__` between steps; `...` removes a key."""
    changed = deepcopy(message)
    for path, value in changes.items():
        *steps, last = path.split("__")
        within: Any = changed
        for step in steps:
            within = within[step]
        if value is ...:
            del within[last]
        else:
            within[last] = value
    return changed


def put(message: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Like `but`, for paths that are not Python names, such as `elecMtr 0702 00`."""
    return but(message, **{path.replace(" ", "__"): value})


class Sample(NamedTuple):
    """A valid message of a format."""

    parse: Parse
    payload: bytes
    origin: Origin


def sample(parse: Parse, message: object, device_id: str, part: str = "", zone: str = "UTC") -> Sample:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Sample(parse, payload, Origin(device_id, NOW, DeviceRules(zone), part))


SAMPLES = {
    "Glow electricity": sample(glow.parse_glow, ELECTRICITY, GLOW, "SENSOR/electricitymeter"),
    "Glow gas": sample(glow.parse_glow, GAS, GLOW, "SENSOR/gasmeter"),
    "Glow state": sample(glow.parse_glow, STATE, GLOW, "STATE"),
    "Glow hex": sample(glow.parse_glow_hex, HEX, GLOW),
    "DSMR telegram": sample(dsmr.parse_dsmr, sealed(TELEGRAM), "p1-1"),
    "Shelly EM": sample(shelly.parse_shelly, EMETERS, SHELLY, "info"),
    "Shelly 3EM": sample(shelly.parse_shelly, THREE_PHASES, SHELLY, "info"),
    "Shelly, two clamps": sample(shelly.parse_shelly, CLAMPS, SHELLY),
    "Shelly, three phases": sample(shelly.parse_shelly, TRIPHASE, SHELLY),
    "Shelly notification": sample(shelly.parse_shelly, NOTIFIED, SHELLY, "events/rpc"),
    "Shelly status topic": sample(shelly.parse_shelly, CLAMPS["em1data:0"], SHELLY, "status/em1data:0"),
    "Tasmota, a smart meter": sample(tasmota.parse_tasmota, SML, "plug-1", zone="Europe/Amsterdam"),
    "Tasmota": sample(tasmota.parse_tasmota, TASMOTA, "plug-1", zone="Europe/Amsterdam"),
}


def read(one: Sample, message: object) -> Content:
    """Parse a message with the parser and origin of a sample."""
    return one.parse(sample(one.parse, message, "").payload, one.origin)
