"""The texts of the demonstration's policy, commit by commit."""

from __future__ import annotations

FILE = "shop.mseg"

FIRST = """\
group web = 10.1.1.0/24, 2001:db8:1::/64
group app = 10.1.2.0/24, 2001:db8:2::/64
group db = 10.1.3.10, 2001:db8:3::10

service http = tcp/80, udp/443

policy shop priority 100 {
  owner "team-shop"
  allow web -> app : http
  allow app -> db : tcp/5432
  deny any -> db log
}

default deny log

test "the web tier never reaches the database" {
  expect deny web -> db
}
"""

SECOND = FIRST.replace("allow app -> db : tcp/5432", "allow app -> db : udp/9000")
"""The application loses the database's port, and gets another one."""

BROKEN = SECOND.replace("allow web ->", "alow web ->").replace("any -> db", "any -> database")
"""Two mistakes: a keyword, and a name that nothing has."""

DENIAL = f"{FILE}:{FIRST.splitlines().index('  deny any -> db log') + 1}"
"""Where the rule about the database stands in the first two."""
