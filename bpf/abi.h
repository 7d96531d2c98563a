/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layouts shared with user space. The numbers (MS_...) are compiler flags made from microseg/abi*.py, which
 * is the only place that chooses them; here the C layouts are held to the same sizes. Integers are in host
 * order unless their type is __be16 or __be32.
 */
#ifndef MICROSEG_ABI_H
#define MICROSEG_ABI_H

#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/in6.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/pkt_cls.h>
#include <uapi/linux/types.h>

#define ms_inline static __always_inline

/* Policy maps: written by user space while the slot is standby, read here while it is live. */

struct ms_ipcache4_key {
	__u32 prefix_bits;
	__be32 address;
};

struct ms_ipcache6_key {
	__u32 prefix_bits;
	__be32 address[4];
};

struct ms_set_list {
	__u32 count; /* 0 .. MS_MAX_SETS */
	__u32 id[MS_MAX_SETS];
};

struct ms_service_key {
	__u32 prefix_bits; /* 8: axis; 16: and protocol; 17 .. 32: and port */
	__u8 axis;
	__u8 protocol;
	__be16 port;
};

struct ms_service_element {
	__u32 id;
	__u16 low, high; /* of the port of the other axis, inclusive */
};

struct ms_service_list {
	__u32 count; /* 0 .. MS_MAX_SERVICES */
	struct ms_service_element element[MS_MAX_SERVICES];
};

struct ms_policy_key {
	__u32 source_set;
	__u32 destination_set;
	__u32 service; /* 0: the pair's own entry, whose precedence is the lowest of the pair */
};

struct ms_policy_value {
	__u32 precedence; /* lowest wins */
	__u32 rule;
	__u8 verdict;
	__u8 flags;
	__u16 reserved;
};

struct ms_slot_config {
	__u32 generation;
	__u8 default_verdict; /* 0: never filled */
	__u8 default_flags;
	__u8 slot_flags;
	__u8 reserved;
	__u32 reserved_too;
	__u8 digest[32];
};

/* Shared maps: written here. */

struct ms_key4 {
	__be32 address[2]; /* endpoints in ascending order of the raw numbers */
	__be16 port[2];	   /* of address[i]; the identifier twice for ICMP echo; 0 without ports */
	__u8 protocol;
	__u8 role; /* ICMP echo: 1 + the endpoint that asks, so that a question back is another session; else 0 */
	__u8 zero[2];
};

struct ms_address6 {
	__be32 word[4];
};

struct ms_key6 {
	struct ms_address6 address[2];
	__be16 port[2];
	__u8 protocol;
	__u8 role;
	__u8 zero[2];
};

/* One cache line; the element of the hash is 48 bytes of its own, the key and this. Index 0: from the client. */
struct ms_session {
	__u64 packets[2];
	__u64 bytes[2];
	__u64 last_seen; /* jiffies */
	__u32 generation;
	__u32 rule;
	__u32 idle_limit; /* jiffies */
	__u32 cookie;	  /* tells sessions of one key apart; see ms_session_cookie() */
	union {
		__u32 ifindex;	 /* of the packet that established it */
		__u32 challenge; /* until then: what only who sees the server's answer can know, see states.h */
	};
	__u8 verdict;
	__u8 flags;
	__u8 state;
	__u8 reserved;
};

/*
 * Sessions that open, those of one hash: which of them there are, what is known of them, and behind it their keys. Each
 * part begins on a cache line; to look for a session that isn't there takes only the first one.
 */
struct ms_opening_set {
	__u64 tag[MS_OPENING_WAYS]; /* hash of the key; 0: free */
	__u32 turn;		    /* who is displaced next */
	__u32 recent;		    /* a bit for each that was found since it was stored, or last spared */
	__u64 reserved[3];
	struct ms_session session[MS_OPENING_WAYS];
};

struct ms_opening4 {
	struct ms_opening_set set;
	struct ms_key4 key[MS_OPENING_WAYS];
};

struct ms_opening6 {
	struct ms_opening_set set;
	struct ms_key6 key[MS_OPENING_WAYS];
	__u64 reserved[4];
};

/* One direction of a flow in the flow cache of one CPU; behind it the addresses, as in the key of its session. */
struct ms_line {
	__u32 generation; /* it speaks under; 0: it doesn't speak */
	__u32 bytes;	  /* not in the session yet */
	__u64 life;	  /* MS_LINE_UNTIL_BITS of jiffies it speaks until; above: packets not in the session yet */
	__u64 ends; /* the key's ports, protocol, role; who sends; above MS_LINE_COOKIE_BIT: its session's cookie */
};

struct ms_line4 {
	struct ms_line line;
	__u64 addresses;
};

struct ms_line6 {
	struct ms_line line;
	__u64 addresses[4];
	__u64 reserved;
};

/* The lines of one hash: one cache line, two adjacent ones for IPv6. */
struct ms_lines4 {
	struct ms_line4 way[2];
};

struct ms_lines6 {
	struct ms_line6 way[2];
};

struct ms_fragment_key4 {
	__be32 source;
	__be32 destination;
	__be16 identification;
	__u8 protocol;
	__u8 zero;
};

struct ms_fragment_key6 {
	struct ms_address6 source;
	struct ms_address6 destination;
	__be32 identification;
};

/* A packet whose first fragment passed. */
struct ms_fragment {
	__u64 seen; /* jiffies */
	__u32 generation;
	__u32 bytes;	/* of the first fragment: no other one may begin before */
	__be16 port[2]; /* with protocol and role, the rest of the key of its session */
	__u8 protocol;
	__u8 role;
	__u8 reversed;
	__u8 reserved;
};

/* Written by user space. */
struct ms_settings {
	__u32 adopt_until_s; /* boot time; 0: never */
	__u32 events_per_s;  /* of each CPU */
	__u32 hz;
	__u32 answers_per_s;		      /* of each CPU */
	__u32 unasked;			      /* MS_UNASKED_...: what passes without being judged */
	__u32 options;			      /* MS_OPTION_... */
	__be16 ethertype[MS_ETHERTYPE_SLOTS]; /* that pass; 0: none */
	__u32 idle[MS_IDLE_SLOTS];	      /* jiffies */
};

/* Per CPU; summed by user space. */
struct ms_stats {
	__u64 outcome[MS_OUTCOME_SLOTS];
	__u64 sessions_created;
	__u64 sessions_full;
	__u64 rejudged;
	__u64 events_sent;
	__u64 events_lost;
	__u64 events_limited;
	__u64 rules_full;
	__u64 answers_sent;
	__u64 answers_limited;
	__u64 answers_omitted;
	__u64 default_packets; /* what the default has judged */
	__u64 default_bytes;
	__u64 reserved[4];
};

struct ms_rule_count {
	__u64 packets;
	__u64 bytes;
};

/* The counts of a few rules, on one CPU: one cache line. */
struct ms_rule_line {
	struct ms_rule_count count[MS_RULE_WAYS];
	__u32 rule[MS_RULE_WAYS]; /* 0: free */
	__u32 reserved;
};

struct ms_event {
	__u64 boot_ns;
	__u32 generation;
	__u32 rule;
	__u32 ifindex;
	__u32 length;
	__u8 family; /* 4, 6; 0: not parsed that far */
	__u8 protocol;
	__u8 direction;
	__u8 verdict; /* 0: not judged */
	__u8 outcome;
	__u8 reserved[3];
	__be16 source_port;
	__be16 destination_port; /* type << 8 | code for ICMP */
	__u32 reserved_too;
	__be32 source[4]; /* IPv4 in the first */
	__be32 destination[4];
};

#define MS_SAME_SIZE(layout, bytes) _Static_assert(sizeof(layout) == (bytes), #layout " differs from user space")
MS_SAME_SIZE(struct ms_ipcache4_key, MS_SIZEOF_IPCACHE4_KEY);
MS_SAME_SIZE(struct ms_ipcache6_key, MS_SIZEOF_IPCACHE6_KEY);
MS_SAME_SIZE(struct ms_set_list, MS_SIZEOF_IPCACHE4_VALUE);
MS_SAME_SIZE(struct ms_set_list, MS_SIZEOF_IPCACHE6_VALUE);
MS_SAME_SIZE(struct ms_service_key, MS_SIZEOF_SERVICE_KEY);
MS_SAME_SIZE(struct ms_service_list, MS_SIZEOF_SERVICE_VALUE);
MS_SAME_SIZE(struct ms_policy_key, MS_SIZEOF_POLICY_KEY);
MS_SAME_SIZE(struct ms_policy_value, MS_SIZEOF_POLICY_VALUE);
MS_SAME_SIZE(struct ms_slot_config, MS_SIZEOF_SLOT_CONFIG);
MS_SAME_SIZE(struct ms_key4, MS_SIZEOF_SESSION_KEY4);
MS_SAME_SIZE(struct ms_key6, MS_SIZEOF_SESSION_KEY6);
MS_SAME_SIZE(struct ms_session, MS_SIZEOF_SESSION);
MS_SAME_SIZE(struct ms_opening4, MS_SIZEOF_OPENING4);
MS_SAME_SIZE(struct ms_opening6, MS_SIZEOF_OPENING6);
MS_SAME_SIZE(struct ms_lines4, MS_SIZEOF_LINES4);
MS_SAME_SIZE(struct ms_lines6, MS_SIZEOF_LINES6);
MS_SAME_SIZE(struct ms_fragment_key4, MS_SIZEOF_FRAGMENT_KEY4);
MS_SAME_SIZE(struct ms_fragment_key6, MS_SIZEOF_FRAGMENT_KEY6);
MS_SAME_SIZE(struct ms_fragment, MS_SIZEOF_FRAGMENT);
MS_SAME_SIZE(struct ms_settings, MS_SIZEOF_SETTINGS);
MS_SAME_SIZE(struct ms_stats, MS_SIZEOF_STATS);
MS_SAME_SIZE(struct ms_rule_count, MS_SIZEOF_RULE_COUNT);
MS_SAME_SIZE(struct ms_rule_line, MS_SIZEOF_RULE_LINE);
MS_SAME_SIZE(struct ms_event, MS_SIZEOF_EVENT);
_Static_assert(sizeof(struct ms_session) == 64, "a session is one cache line");
_Static_assert(sizeof(struct ms_lines4) == 64, "two directions of flows are one cache line");

#endif
