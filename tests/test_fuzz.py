"""Any text in any charset: it arrives as it was written, or not at all. tests/e2e/test_fuzz.py sends any request."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support import Dify, blocking_sample, body_of, call

CHARSETS = ["utf-8", "gbk", "shift_jis", "iso-8859-1", "windows-1251", "euc-kr", "big5", "utf-16"]
FORM = {"user_input_form": [{"paragraph": {"variable": "x"}}]}


def quoted(raw: bytes) -> bytes:
    return "".join(f"%{byte:02X}" for byte in raw).encode()


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["Perché", "报告", "表示", "한국어", "联通", "Ünï+%=&;"]),
    charset=st.sampled_from(CHARSETS),
    is_declared=st.booleans(),
    way=st.sampled_from(["escaped", "raw", "part", "json", "query"]),
)
def test_a_text_arrives_as_it_was_written_or_not_at_all(text: str, charset: str, is_declared: bool, way: str) -> None:
    try:
        raw = text.encode(charset)
    except UnicodeEncodeError:
        return
    options: dict[str, Any] = {"method": "POST", "headers": {}}
    more = f"; charset={charset}" if is_declared else ""
    match way:
        case "escaped":
            options |= {"data": b"x=" + quoted(raw), "headers": {"Content-Type": f"application/x-www-form-urlencoded{more}"}}
        case "raw" if not set(raw) & set(b"%+&="):
            options |= {"data": b"x=" + raw, "headers": {"Content-Type": f"application/x-www-form-urlencoded{more}"}}
        case "part" if b"--b" not in raw:
            head = f'--b\r\nContent-Disposition: form-data; name="x"\r\nContent-Type: text/plain{more}\r\n\r\n'.encode()
            options |= {"data": head + raw + b"\r\n--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}
        case "json":
            raw = json.dumps({"inputs": {"x": text}}, ensure_ascii=False).encode(charset)
            options |= {"data": raw, "headers": {"Content-Type": f"application/json{more}"}}
        case "query":
            options = {"method": "GET", "path": f"/x?format=json&x={quoted(raw).decode()}"}
            is_declared = False
        case _:
            return
    dify = Dify(blocking=blocking_sample("workflow"), form=FORM)
    response = call(dify, "workflow", **options)
    if response.status_code != 200:
        assert response.status_code == 400
        assert not is_declared, body_of(response)
        assert charset != "utf-8", body_of(response)
        return
    [arrived] = [made["inputs"]["x"] for made in dify.calls]
    meant = text if is_declared or charset == "utf-8" else raw.decode()
    if way == "json" and not is_declared:
        meant = json.loads(raw.decode("utf-8-sig"))["inputs"]["x"]
    assert arrived == (meant if way == "json" else meant.replace("\r\n", "\n")).replace("\0", "")
