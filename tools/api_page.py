"""The reference of /v1 as a page: operations by tag, then the objects that they take and return."""
# ruff: noqa: INP001  # a script's module, not a package

import json
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]
MARK = "<!-- the reference -->"


def render_reference(document: Json) -> str:
    """Return the operations and objects of an OpenAPI document as Markdown."""
    return "\n".join([document["info"]["description"], *_operations(document), "## Objects", *_objects(document)])


def _operations(document: Json) -> Iterator[str]:
    every = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    every += [(name, operation) for name, methods in document["webhooks"].items() for operation in methods.values()]
    for tag in document["tags"]:
        yield f"## {tag['name'][0].upper()}{tag['name'][1:]}\n\n{tag['description']}\n"
        for name, operation in every:
            if tag["name"] in operation["tags"]:
                yield from _operation(name, operation)


def _operation(name: str, operation: Json) -> Iterator[str]:
    yield f"### {name}\n\n{operation['summary']}. {operation.get('description', '')}".rstrip() + "\n"
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [(f"`{one['name']}`", one["in"], _type(one["schema"]), _meaning(one)) for one in parameters]
        yield _table(("parameter", "in", "type", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield f"Body: {_types(body)}\n"
        yield from _examples(body)
    responses = [(status, one["description"], _types(one)) for status, one in operation["responses"].items()]
    yield _table(("status", "when", "content"), responses)
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            yield from _examples(response)


def _types(body: Json) -> str:
    return ", ".join(
        _type(content["schema"]) if kind == "application/json" and "schema" in content else f"`{kind}`"
        for kind, content in body.get("content", {}).items()
    )


def _examples(body: Json) -> Iterator[str]:
    """The first example of what is sent as JSON."""
    examples = body.get("content", {}).get("application/json", {}).get("examples", {})
    for example in list(examples.values())[:1]:
        yield f"```json\n{json.dumps(example['value'], ensure_ascii=False, indent=2)}\n```\n"


def _objects(document: Json) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}\n\n{schema.get('description', '')}\n"
        if "properties" in schema:
            required = set(schema.get("required", []))
            if required == schema["properties"].keys():
                required = set()  # to say so of each field tells nobody anything
            rows = [
                (f"`{field}`", _type(one), _meaning(one | {"required": field in required}))
                for field, one in schema["properties"].items()
            ]
            yield _table(("field", "type", "meaning"), rows)
        elif "enum" in schema:
            yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_type(one) for one in schema.get("anyOf") or schema["oneOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format", schema.get("type", "any")))


def _meaning(one: Json) -> str:
    default = one.get("schema", one).get("default")
    said = [one.get("description", ""), "required" if one.get("required") else ""]
    said.append("" if default is None else f"by default `{json.dumps(default, ensure_ascii=False)}`")
    return "; ".join(filter(None, said))


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    cells = ([cell.replace("|", "&#124;").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
