#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Turns the tables of Windows' layouts and values into rows of C for test_layout.c.

layout: struct, field ("." is the whole), offset, size [, architecture]
values: name, value [, architecture]
"""
import sys


def rows(path, columns):
    with open(path, encoding="ascii") as table:
        for number, line in enumerate(table, 1):
            cells = line.rstrip("\n").split("\t")
            if len(cells) not in (columns, columns + 1):
                sys.exit(f"{path}:{number}: {len(cells)} columns")
            yield cells[:columns], cells[columns] if len(cells) > columns else None


def guarded(text, architecture):
    return f"#ifdef __{architecture}__\n{text}#endif\n" if architecture else text


def layout_row(struct, field, offset, size):
    if field == ".":
        return f'\t{{"{struct}", {offset}, {size}, 0, sizeof({struct})}},\n'
    return (
        f'\t{{"{struct}.{field}", {offset}, {size},\n'
        f"\t offsetof({struct}, {field}), sizeof((({struct} *)0)->{field})}},\n"
    )


def main():
    layout, values, output = sys.argv[1:]
    with open(output, "w", encoding="ascii") as out:
        out.write("/* Made by gen_layout.py. */\n")
        out.write("static const struct layout_row layout_rows[] = {\n")
        for cells, architecture in rows(layout, 4):
            out.write(guarded(layout_row(*cells), architecture))
        out.write("};\n\nstatic const struct value_row value_rows[] = {\n")
        for (name, value), architecture in rows(values, 2):
            row = f'\t{{"{name}", {value}u, (unsigned)({name})}},\n'
            out.write(guarded(row, architecture))
        out.write("};\n")


main()
