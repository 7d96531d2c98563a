/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the data plane is measured against, from its own headers and on its own maps. Never attached. Programs of
 * the second part send each packet from another address in turn, of as many as skb->mark says.
 */
#include "microseg_tc.c"

/* Parse, and have the compiler believe that all of the packet is needed. */
ms_inline __u32 reference_parse(struct __sk_buff *skb, struct ms_packet *packet)
{
	__u32 outcome = ms_parse(skb, packet, MS_LINK_ETHERNET);

	asm volatile("" : : "r"(packet) : "memory");
	return outcome;
}

int reference_empty(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

int reference_parse_only(struct __sk_buff *skb)
{
	struct ms_packet packet = {};

	return reference_parse(skb, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/*
 * The layout to be better than: one lookup in an LRU hash, the kernel's clock, and three counters, each in a per-CPU
 * map of its own. A miss opens a session, so that each run but the first is a hit.
 */
struct reference_session {
	__u64 last_seen_ns;
	__u64 packets;
	__u64 bytes;
	__u8 rest[40];
};
MS_MAP("lru_hash", struct ms_key4, struct reference_session, plain_sessions, MS_ENTRIES_SESSION4, 0);
BPF_TABLE("percpu_array", int, __u64, plain_packets, 1);
BPF_TABLE("percpu_array", int, __u64, plain_hits, 1);
BPF_TABLE("percpu_array", int, __u64, plain_bytes, 1);

ms_inline int reference_document(struct __sk_buff *skb)
{
	struct reference_session *session, first = {};
	struct ms_packet packet = {};
	int zero = 0;
	__u64 now, *count;

	if (reference_parse(skb, &packet))
		return TC_ACT_SHOT;
	now = bpf_ktime_get_ns();
	count = plain_packets.lookup(&zero);
	if (count)
		(*count)++;
	session = plain_sessions.lookup(&packet.key4);
	if (!session) {
		plain_sessions.update(&packet.key4, &first);
		return TC_ACT_UNSPEC;
	}
	session->last_seen_ns = now;
	session->packets++;
	session->bytes += skb->len;
	count = plain_hits.lookup(&zero);
	if (count)
		(*count)++;
	count = plain_bytes.lookup(&zero);
	if (count)
		*count += skb->len;
	return TC_ACT_UNSPEC;
}

int reference_plain(struct __sk_buff *skb)
{
	return reference_document(skb);
}

/* Many flows. */
BPF_TABLE("percpu_array", int, __u32, reference_turn, 1);

/* Far enough from each other that no prefetching makes them cheap; a prime, so that all get their turn. */
#define REFERENCE_STRIDE 7919

/* Address n of a flow is 10, then n with its low bits first. */
ms_inline void reference_vary(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 *source = data + 26;
	int zero = 0;
	__u32 *turn = reference_turn.lookup(&zero), now;

	if ((void *)(source + 4) > end || !turn)
		return;
	now = *turn + REFERENCE_STRIDE;
	if (now >= skb->mark)
		now -= skb->mark;
	*turn = now;
	source[1] = now;
	source[2] = now >> 8;
	source[3] = now >> 16;
}

int reference_many_parse_only(struct __sk_buff *skb)
{
	struct ms_packet packet = {};

	reference_vary(skb);
	return reference_parse(skb, &packet) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

int reference_many_plain(struct __sk_buff *skb)
{
	reference_vary(skb);
	return reference_document(skb);
}

/* A bare lookup of our own session. */
int reference_many_lookup(struct __sk_buff *skb)
{
	struct ms_packet packet = {};
	struct ms_session *session;

	reference_vary(skb);
	if (reference_parse(skb, &packet))
		return TC_ACT_SHOT;
	session = ms_session_find(&packet);
	return session && session->generation ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

int reference_many_filter(struct __sk_buff *skb)
{
	reference_vary(skb);
	return ms_filter(skb, MS_DIRECTION_INGRESS, MS_LINK_ETHERNET);
}

/*
 * A prototype of the flow cache (docs/designs/flow-cache.md): one line a flow in front of the sessions, a region for
 * each CPU. A hit touches nothing else; about once a second what was counted goes to the session, and then only may
 * another flow take the line: two that meet in one would otherwise displace each other at each packet.
 */
struct reference_flow {
	struct ms_key4 key;
	__u32 generation; /* 0: empty */
	__u32 until;	  /* jiffies, the low half: goes to the session from then on */
	__u64 bytes[2];
	__u32 packets[2];
	__u32 client_is_second;
	__u32 created_s;
	__u64 last_seen;
};
_Static_assert(sizeof(struct reference_flow) == 64, "a flow is one cache line");
BPF_TABLE("array", int, struct reference_flow, reference_flows, REFERENCE_CPUS << REFERENCE_FLOW_BITS);

ms_inline __u32 reference_place(const struct ms_key4 *key)
{
	const __u64 *word = (const __u64 *)key;
	__u64 hash = (word[0] ^ (word[1] * 0x9e3779b97f4a7c15ULL)) * 0xbf58476d1ce4e5b9ULL;

	hash ^= hash >> 29;
	hash *= 0x94d049bb133111ebULL;
	return bpf_get_smp_processor_id() << REFERENCE_FLOW_BITS | hash >> (64 - REFERENCE_FLOW_BITS);
}

ms_inline int reference_same(const struct ms_key4 *a, const struct ms_key4 *b)
{
	const __u64 *left = (const __u64 *)a, *right = (const __u64 *)b;

	return left[0] == right[0] && left[1] == right[1];
}

ms_inline void reference_count(struct reference_flow *flow, const struct ms_packet *packet, __u64 now)
{
	if (flow->client_is_second != packet->reversed) {
		flow->packets[1]++;
		flow->bytes[1] += packet->length;
	} else {
		flow->packets[0]++;
		flow->bytes[0] += packet->length;
	}
	flow->last_seen = now;
}

/* What was counted goes to the session, if that is still the same one. */
ms_inline void reference_give_back(struct reference_flow *flow, struct ms_session *session)
{
	if (session && session->created_s == flow->created_s) {
		session->packets[0] += flow->packets[0];
		session->packets[1] += flow->packets[1];
		session->bytes[0] += flow->bytes[0];
		session->bytes[1] += flow->bytes[1];
		if ((__s64)(flow->last_seen - session->last_seen) > 0)
			session->last_seen = flow->last_seen;
	}
}

ms_inline void reference_take(struct reference_flow *flow, struct ms_packet *packet, struct ms_session *session,
			      __u32 generation, __u64 now)
{
	if (reference_same(&flow->key, &packet->key4))
		reference_give_back(flow, session);
	else if (flow->packets[0] | flow->packets[1])
		reference_give_back(flow, session4.lookup(&flow->key));
	flow->key = packet->key4;
	flow->generation = generation;
	flow->until = now + 250;
	flow->packets[0] = flow->packets[1] = 0;
	flow->bytes[0] = flow->bytes[1] = 0;
	flow->client_is_second = session->flags & MS_SESSION_CLIENT_IS_SECOND;
	flow->created_s = session->created_s;
	flow->last_seen = now;
}

/* ms_filter() with the cache in front. */
ms_inline int reference_cached_filter(struct __sk_buff *skb)
{
	struct ms_packet packet = {};
	struct reference_flow *flow;
	struct ms_session *session;
	int zero = 0, place;
	struct ms_stats *counts = stats.lookup(&zero);
	__u32 generation, outcome;
	__u64 now;

	if (!counts)
		return TC_ACT_SHOT;
	generation = ms_generation();
	now = bpf_jiffies64();
	outcome = ms_parse(skb, &packet, MS_LINK_ETHERNET);
	if (outcome || packet.unusual || packet.family != 4)
		return TC_ACT_SHOT;
	place = reference_place(&packet.key4);
	flow = reference_flows.lookup(&place);
	if (!flow)
		return TC_ACT_SHOT;
	if (flow->generation == generation && reference_same(&flow->key, &packet.key4) &&
	    (__s32)((__u32)now - flow->until) < 0) {
		reference_count(flow, &packet, now);
		counts->outcome[MS_PASS_SESSION]++;
		return TC_ACT_UNSPEC;
	}
	session = session4.lookup(&packet.key4);
	if (!session || !ms_session_steady(session, generation, now))
		return TC_ACT_SHOT;
	if (reference_same(&flow->key, &packet.key4) || flow->generation != generation ||
	    (__s32)((__u32)now - flow->until) >= 0)
		reference_take(flow, &packet, session, generation, now);
	ms_session_count(session, &packet, now);
	counts->outcome[MS_PASS_SESSION]++;
	return TC_ACT_UNSPEC;
}

int reference_cached(struct __sk_buff *skb)
{
	return reference_cached_filter(skb);
}

int reference_many_cached(struct __sk_buff *skb)
{
	reference_vary(skb);
	return reference_cached_filter(skb);
}
