# shellcheck shell=bash
# shellcheck disable=SC2154 # set by tests/soak/run
# SPDX-License-Identifier: LGPL-2.1-or-later
# Redis under redis-benchmark, and a client that counts: each INCR must answer with the next number.
need redis-server redis-benchmark redis-cli

redis() { redis-cli -s "$work/redis.sock" "$@"; }

start redis redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save ''
server=$pid
wait_until redis ping
# All the keys that the benchmark takes from, so that none is new and memory stays as it is.
redis eval "for i = 0, 199999 do
	redis.call('set', string.format('key:%012d', i), string.rep('x', 200))
end" 0 >/dev/null

members() { echo "$server"; }
capture_whom() { echo "$server"; }

# Throughput and p99 are those of the benchmark, round by round, for the time there is.
load() { # SECONDS NAME
	local end=$((SECONDS + $1)) counting
	python3 "$soak/count_up" "$work/redis.sock" "$1" "$2" >"$work/count.$2" &
	counting=$!
	: >"$work/benchmark.$2"
	while ((SECONDS < end)); do
		redis-benchmark -s "$work/redis.sock" -t set,get -r 200000 -d 200 -c 10 -n 20000 --csv \
			>>"$work/benchmark.$2" 2>>"$work/benchmark.errors" || fail "redis-benchmark"
	done
	wait "$counting" || { cat "$work/count.$2"; fail "the counting client saw an error"; }
}

verify_load() {
	local counted value
	must "redis-benchmark said: $(head -c 500 "$work/benchmark.errors")" \
		bash -c "! grep -qiE 'error|refused|closed' '$work/benchmark.errors'"
	for run in without with; do
		counted=$(awk '{ print $1 }' "$work/count.$run")
		value=$(redis get "counter:$run")
		must "of $counted INCRs Redis knows $value" [ "$counted" = "$value" ]
	done
}
