/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions: one lookup for an established flow. A session is OPENING until the peer speaks, ANSWERED until the
 * opener speaks again, then STEADY; only then it moves from the opening map to the session map, so that neither
 * spoofed openers nor a peer that answers them can evict a session in use.
 */
#ifndef MICROSEG_SESSION_H
#define MICROSEG_SESSION_H

#include "opening.h"
#include "packet.h"

ms_inline __u32 ms_boot_s(void)
{
	return bpf_ktime_get_boot_ns() / 1000000000ULL;
}

/* Connections in progress are taken over for a while after the first attach. */
ms_inline int ms_adopting(void)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);

	return settings && settings->adopt_until_s && ms_boot_s() < settings->adopt_until_s;
}

/*
 * Keep the compiler from making one call of both branches, with either map: the kernel puts the lookup itself in the
 * place of a call whose map it knows, and otherwise goes through two indirect ones.
 */
#define MS_APART(family) asm volatile("# " #family : "+r"(session))

ms_inline struct ms_session *ms_session_find(struct ms_packet *packet)
{
	struct ms_session *session;

	if (packet->family == 4) {
		session = session4.lookup(&packet->key4);
		MS_APART(4);
	} else {
		session = session6.lookup(&packet->key6);
		MS_APART(6);
	}
	return session;
}

/* Look in both maps, or only among those that open; *opening says which one has it. */
ms_inline struct ms_session *ms_find(struct ms_packet *packet, const __u32 only_opening, __u32 *opening)
{
	struct ms_session *session = only_opening ? 0 : ms_session_find(packet);

	*opening = !session;
	if (session)
		return session;
	if (packet->family == 4) {
		session = ms_opening_find(4, packet);
		MS_APART(4);
	} else {
		session = ms_opening_find(6, packet);
		MS_APART(6);
	}
	return session;
}

ms_inline long ms_session_store(struct ms_packet *packet, struct ms_session *session)
{
	if (packet->family == 4)
		return session4.update(&packet->key4, session);
	return session6.update(&packet->key6, session);
}

ms_inline long ms_opening_keep(const struct ms_packet *packet, const struct ms_session *session)
{
	if (packet->family == 4)
		return ms_opening_store(4, packet, session);
	return ms_opening_store(6, packet, session);
}

ms_inline void ms_opening_end(const struct ms_packet *packet)
{
	if (packet->family == 4)
		ms_opening_delete(4, packet);
	else
		ms_opening_delete(6, packet);
}

ms_inline void ms_session_delete(struct ms_packet *packet)
{
	if (packet->family == 4)
		session4.delete(&packet->key4);
	else
		session6.delete(&packet->key6);
	ms_opening_end(packet);
}

/* 1 when the packet comes from the server of this session. */
ms_inline __u32 ms_from_server(const struct ms_session *session, const struct ms_packet *packet)
{
	return (session->flags & MS_SESSION_CLIENT_IS_SECOND) != packet->reversed;
}

/* Other CPUs may have stored a later time than this one read. */
ms_inline int ms_session_expired(const struct ms_session *session, __u64 now)
{
	return (__s64)(now - session->last_seen) > (__s64)session->idle_limit;
}

/* Atomic: the cache of another CPU may hand in what it has counted at the same time. */
ms_inline void ms_session_add(struct ms_session *session, __u32 server, __u64 packets, __u64 bytes)
{
	if (server) {
		__sync_fetch_and_add(&session->packets[1], packets);
		__sync_fetch_and_add(&session->bytes[1], bytes);
	} else {
		__sync_fetch_and_add(&session->packets[0], packets);
		__sync_fetch_and_add(&session->bytes[0], bytes);
	}
}

/* Never back: a line of the flow cache may have been given the time until then. */
ms_inline void ms_session_seen(struct ms_session *session, __u64 now)
{
	if ((__s64)(now - session->last_seen) > 0)
		session->last_seen = now;
}

/* A number that no other session has had for long: sessions are counted on each CPU. No clock: reading one takes as
 * long as a lookup, and has the processor wait for all that it is fetching. */
ms_inline __u32 ms_session_cookie(const struct ms_stats *stats)
{
	return stats->sessions_created * MS_CPUS + bpf_get_smp_processor_id();
}

ms_inline void ms_session_count(struct ms_session *session, const struct ms_packet *packet, __u64 now)
{
	ms_session_add(session, ms_from_server(session, packet), 1, packet->length);
	ms_session_seen(session, now);
}

/* Established, judged under the policy in force: what goes on in it passes. */
ms_inline int ms_session_steady(const struct ms_session *session, __u32 generation, __u64 now)
{
	return session->generation == generation && session->state == MS_STATE_STEADY &&
	       !ms_session_expired(session, now);
}

#endif
