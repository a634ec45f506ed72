# SPDX-License-Identifier: LGPL-2.1-or-later
# Command lines that make no sense: one line that says so, status 2, nothing done.
source "$PROCSNAP_SOURCE/tests/cli/lib.bash"
mkdir dir
cd dir

try nonsense
try --nonsense
try help nonsense
try dump
try dump 1 2
try dump --nonsense 1
try dump -x 1
try dump 1 -o
try dump 1 --out
try dump 1 --filter
try dump 1 --json=yes
try dump --filter 33 1
try dump --filter 0x200 1
try dump --filter 0x3g 1
try dump --compress gzip 1
try dump --compress zstd:0 1
try dump --compress zstd:23 1
try dump --compress zstd: 1
try dump --compress zstd:3x 1
try dump --format elf 1
try dump --format minidump --type 1
try dump --format minidump --type full,nothing 1
try dump --format minidump --type 0x2000000 1
try dump --format minidump --filter 0x33 1
try dump --type full 1
try dump --environment 1
try dump ''
try dump 0
try dump 99999999999999999999
try dump 4294967297
try show
try show --threads=1 1
try show --h 1
try show --h=1 1
try show --he=1 1
try show --help=1 1
try show -h=1 1
try show --th=1 1
try show $'a\033[31mb\xff'
"$PROCSNAP" 2>&1 >/dev/null | head -n 1
ls -A
