# shellcheck shell=bash
# shellcheck disable=SC2154 # set by tests/soak/run
# SPDX-License-Identifier: LGPL-2.1-or-later
# PostgreSQL under pgbench: the postmaster and a backend under load are captured in turn. In the end
# the ledger must agree: what was booked is what stands in the accounts, and no more and no less was
# booked than pgbench was told.
need psql

bin=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "skipped: PostgreSQL is not installed"; exit 77; }

# The server refuses to be root.
as_user=()
if [ "$(id -u)" -eq 0 ]; then
	as_user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	chown postgres "$work"
fi
export PGHOST=$work PGUSER=postgres PGDATABASE=postgres
cd "$work" || exit

"${as_user[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust --no-sync >"$work/initdb.log"
start postgres "${as_user[@]}" "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= \
	-c fsync=off -c max_connections=50 -c shared_buffers=32MB -c autovacuum=off -c max_wal_size=4GB
server=$pid
wait_until psql -c 'select 1'
"$bin/pgbench" -i -q -s 4 2>"$work/init.log"

members() { echo "$server"; ps -o pid= --ppid "$server" | tr -d ' '; }

capture_whom() {
	echo "$server"
	psql -qAtX -c "select pid from pg_stat_activity where application_name = 'pgbench' limit 1"
}

load() { # SECONDS NAME
	"$bin/pgbench" -c 4 -j 2 -T "$1" -n -l --log-prefix="$work/latency.$2" >"$work/pgbench.$2" 2>&1 ||
		{ cat "$work/pgbench.$2"; fail "pgbench"; }
}

verify_load() {
	local told ledger
	told=$(awk -F': ' '/transactions actually processed/ { sum += $2 } END { print sum }' \
		"$work/pgbench.without" "$work/pgbench.with")
	must "transactions failed" bash -c "! grep -h 'failed transactions' '$work'/pgbench.with* | grep -v ': 0 '"
	must "a client saw an error" bash -c "! grep -hiE 'error|aborted|fatal' '$work'/pgbench.with*"
	ledger=$(psql -qAtX -c "select (select count(*) from pgbench_history) = $told
		and (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts)
		and (select sum(delta) from pgbench_history) = (select sum(tbalance) from pgbench_tellers)
		and (select sum(delta) from pgbench_history) = (select sum(bbalance) from pgbench_branches)")
	must "the ledger does not agree with $told transactions" [ "$ledger" = t ]
}
