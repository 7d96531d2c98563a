/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fragments: the first one is judged by its transport header, and remembered when it passes; later ones follow it.
 * One that comes before the first is dropped, and so is one that begins within it: it could rewrite the header that
 * was judged (RFC 1858, RFC 3128), and then nothing of the packet is to be kept (RFC 5722).
 */
#ifndef MICROSEG_FRAGMENT_H
#define MICROSEG_FRAGMENT_H

#include "scratch.h"
#include "session.h"

ms_inline struct ms_fragment_key4 ms_fragment_key4(const struct ms_packet *packet)
{
	struct ms_fragment_key4 key = {.protocol = packet->protocol};

	key.source = packet->key4.address[packet->reversed ? 1 : 0];
	key.destination = packet->key4.address[packet->reversed ? 0 : 1];
	key.identification = packet->fragment;
	return key;
}

/* Without the protocol: each fragment names the header behind it as it likes (RFC 8200 4.5). */
ms_inline struct ms_fragment_key6 ms_fragment_key6(const struct ms_packet *packet)
{
	struct ms_fragment_key6 key;

	key.source = packet->reversed ? packet->key6.address[1] : packet->key6.address[0];
	key.destination = packet->reversed ? packet->key6.address[0] : packet->key6.address[1];
	key.identification = packet->fragment;
	return key;
}

ms_inline struct ms_fragment *ms_fragment_find(const struct ms_packet *packet)
{
	if (packet->family == 4) {
		struct ms_fragment_key4 key = ms_fragment_key4(packet);

		return fragment4.lookup(&key);
	} else {
		struct ms_fragment_key6 key = ms_fragment_key6(packet);

		return fragment6.lookup(&key);
	}
}

ms_inline void ms_fragment_store(const struct ms_packet *packet, struct ms_fragment *fragment)
{
	if (packet->family == 4) {
		struct ms_fragment_key4 key = ms_fragment_key4(packet);

		fragment4.update(&key, fragment);
	} else {
		struct ms_fragment_key6 key = ms_fragment_key6(packet);

		fragment6.update(&key, fragment);
	}
}

ms_inline void ms_fragment_forget(const struct ms_packet *packet)
{
	if (packet->family == 4) {
		struct ms_fragment_key4 key = ms_fragment_key4(packet);

		fragment4.delete(&key);
	} else {
		struct ms_fragment_key6 key = ms_fragment_key6(packet);

		fragment6.delete(&key);
	}
}

/* A first fragment has its outcome: what follows it passes, or not. */
ms_inline void ms_fragment_remember(const struct ms_scratch *scratch, int passes)
{
	const struct ms_packet *packet = &scratch->packet;
	const __be16 *port = packet->family == 4 ? packet->key4.port : packet->key6.port;
	struct ms_fragment fragment = {};

	if (!passes) {
		ms_fragment_forget(packet);
		return;
	}
	fragment.seen = scratch->now;
	fragment.generation = scratch->generation;
	fragment.bytes = packet->fragment_bytes;
	fragment.port[0] = port[0];
	fragment.port[1] = port[1];
	fragment.protocol = packet->protocol;
	fragment.role = packet->family == 4 ? packet->key4.role : packet->key6.role;
	fragment.reversed = packet->reversed;
	ms_fragment_store(packet, &fragment);
}

/* Make the key of the session out of what the first fragment said, and count there. */
ms_inline void ms_fragment_count(struct ms_scratch *scratch, const struct ms_fragment *fragment)
{
	struct ms_packet *packet = &scratch->packet;
	__be16 *port = packet->family == 4 ? packet->key4.port : packet->key6.port;
	struct ms_session *session;
	__u32 opening;

	port[0] = fragment->port[0];
	port[1] = fragment->port[1];
	if (packet->family == 4) {
		packet->key4.role = fragment->role;
	} else {
		packet->key6.role = fragment->role;
		packet->key6.protocol = fragment->protocol;
	}
	packet->protocol = fragment->protocol;
	packet->reversed = fragment->reversed;
	session = ms_find(packet, 0, &opening);
	if (session && session->generation == scratch->generation && !ms_session_expired(session, scratch->now))
		ms_session_count(session, packet, scratch->now);
}

/* The outcome of a later fragment. */
ms_inline __u32 ms_fragment_follow(struct ms_scratch *scratch)
{
	const struct ms_packet *packet = &scratch->packet;
	struct ms_fragment *first = ms_fragment_find(packet);
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);

	if (!first || !settings || first->generation != scratch->generation ||
	    (__s64)(scratch->now - first->seen) > (__s64)settings->idle[MS_IDLE_FRAGMENT])
		return MS_DROP_FRAGMENT;
	if (packet->fragment_offset < first->bytes) {
		ms_fragment_forget(packet);
		return MS_DROP_FRAGMENT_BOUNDS;
	}
	ms_fragment_count(scratch, first);
	return MS_PASS_FRAGMENT;
}

#endif
