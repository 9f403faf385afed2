"""Whatever the OpenAPI allows or a stranger sends: an answer that the OpenAPI names, and never a defect."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services import TOKEN, image, serving

from synsight.data.catalog import Catalog

pytest.importorskip("schemathesis")

ROUTES = ["/predict", "/embed", "/words", "/similar", "/explain", "/feedback"]
ALLOWED = {200, 201, 400, 401, 403, 404, 405, 408, 413, 422, 503}


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    """A service of everything."""
    feedback = tmp_path_factory.mktemp("fuzzed") / "feedback"
    with serving(
        models, token=TOKEN, heads=models / "heads", reference=models / "cat", feedback=feedback
    ) as found:
        found.feedback = feedback
        yield found


@pytest.fixture(scope="module")
def schema(whole):
    return whole.get("/openapi.json").json()


def test_the_openapi_names_every_route_and_refusal(schema):
    assert set(schema["paths"]) == {*ROUTES, "/heads", "/heads/{name}", "/health", "/metrics"}
    for path in ROUTES:
        responses = schema["paths"][path]["post"]["responses"]
        assert {"401", "413", "422", "503"} <= set(responses)
        assert "$ref" in json.dumps(responses["413"]) and "Error" in json.dumps(responses["413"])


TYPES_OF_A_FORM = """
[[operations]]
include-path = "/feedback"
checks.negative_data_rejection.enabled = false
"""
"""A form has no types: the number that "violates `type`" arrives as a text like any other."""


def run_schemathesis(schema, whole, tmp_path, examples, *more):
    """schemathesis' own command, by a stranger who knows the folders of heads; the number of cases."""
    schema = copy.deepcopy(schema)
    put = schema["paths"]["/heads/{name}"]["put"]["requestBody"]["content"]["application/json"]
    put["schema"]["properties"]["folder"]["enum"] = ["hours", "colours2", "other", "broken", "nothing"]
    (tmp_path / "schemathesis.toml").write_text(TYPES_OF_A_FORM)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(schema))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            path,
            *("--url", str(whole.base_url).rstrip("/")),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--max-examples", str(examples)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
            *("--checks", "response_schema_conformance,negative_data_rejection,unsupported_method"),
            *("--seed", "7"),
            *("--request-timeout", "60"),
            "--no-color",
            *more,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    return int(re.search(r"([\d,]+) generated", done.stdout)[1].replace(",", ""))


def test_schemathesis_finds_nothing(schema, whole, tmp_path):
    run_schemathesis(schema, whole, tmp_path, 5, "--exclude-path", "/explain")  # a second each
    assert whole.post("/predict", content=image()).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_schemathesis_finds_nothing_in_two_thousand_cases(schema, whole, tmp_path):
    assert run_schemathesis(schema, whole, tmp_path, 320) >= 2_000
    assert whole.post("/predict", content=image()).status_code == 200


def mutations():
    """Images with bytes changed, cut out, doubled or put in; and bytes of all kinds."""
    seeds = [image(number, kind) for number, kind in enumerate(("png", "jpeg", "webp", "gif", "bmp", "tiff"))]

    @st.composite
    def mutated(draw):
        data = bytearray(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(1, 6))):
            at = draw(st.integers(0, max(len(data) - 1, 0)))
            how = draw(st.sampled_from(["set", "cut", "put", "double"]))
            if how == "set" and data:
                data[at] = draw(st.integers(0, 255))
            elif how == "cut":
                del data[at : at + draw(st.integers(1, 64))]
            elif how == "put":
                data[at:at] = draw(st.binary(max_size=16))
            else:
                data[at:at] = data[at : at + 32]
        return bytes(data)

    return st.one_of(mutated(), st.binary(max_size=200))


KINDS = st.sampled_from(
    [
        "image/png",
        "application/json",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=" + "b" * 300,
        "text/plain; charset=\u00e9",
        ";;;=",
        "",
    ]
)


def send(whole, path, body, kind):
    answer = whole.post(path, content=body, headers={"content-type": kind.encode("latin-1")})
    assert answer.status_code in ALLOWED, answer.text
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutations(), path=st.sampled_from([one for one in ROUTES if one != "/explain"]), kind=KINDS)
def test_no_body_makes_a_defect(whole, body, path, kind):
    send(whole, path, body, kind)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"--b\r\n",
                    b"--b--\r\n",
                    b"\r\n",
                    b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n',
                    b'Content-Disposition: form-data; name="verdict"\r\n\r\nright',
                    b'Content-Disposition: form-data; name="prediction"\r\n\r\nred',
                    b"Content-Disposition: form-data\r\n\r\n",
                    b"Content-Disposition: form-data; name*=utf-8''file\r\n",
                    b"Content-Type: multipart/mixed; boundary=c\r\n",
                    image(),
                ]
            ),
            st.binary(max_size=20),
        ),
        max_size=10,
    )
)
def test_no_form_makes_a_defect(whole, parts):
    send(whole, "/feedback", b"".join(parts), "multipart/form-data; boundary=b")


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutations(), path=st.sampled_from(ROUTES), kind=KINDS)
def test_no_body_of_thousands_makes_a_defect(whole, body, path, kind):
    send(whole, path, body, kind)


def test_what_was_kept_of_all_that_is_a_catalog_of_images(whole, models):
    from synsight.data.images import check_image

    whole.post(
        "/feedback", files={"file": image()}, data={"verdict": "right", "prediction": "red"}
    ).raise_for_status()
    rows = Catalog.open(whole.feedback).table(["image", "verdict"]).to_pylist()
    for row in rows:
        check_image(row["image"])
        assert row["verdict"] in ("right", "wrong")
