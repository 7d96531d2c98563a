/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions that open: an array of sets, four ways each, two of which a hash of the key chooses. A packet of none of
 * them, which most first packets are, costs a cache line of each; the LRU hash of the kernel, which we used before,
 * costs several times that once it has to make room (docs/designs/cold-path.md).
 *
 * A session is stored in the emptier set; where both are full it displaces the one whose turn it is, but spares once
 * who was found since: so a flood of packets that each open a session displaces its own. CPUs write to a set without a
 * lock, as they do to the elements of an LRU hash: a tag is taken away first and written last, and both tag and key
 * must be right. Two that write to one way at once may leave the key of neither, never one that both tags stand for;
 * what is lost so is opened again by the next packet.
 */
#ifndef MICROSEG_OPENING_H
#define MICROSEG_OPENING_H

#include "maps.h"
#include "packet.h"
#include "ways.h"

_Static_assert((MS_ENTRIES_OPENING4 & (MS_ENTRIES_OPENING4 - 1)) == 0 &&
		   (MS_ENTRIES_OPENING6 & (MS_ENTRIES_OPENING6 - 1)) == 0,
	       "sets are masked");

#define MS_OPENING_ALL ((1U << MS_OPENING_WAYS) - 1)

_Static_assert(MS_OPENING_WAYS == MS_WAY_MASK + 1, "as ms_way() has it");

/* Keeps the compiler from reordering what other CPUs may see. */
#define MS_IN_ORDER() asm volatile("" : : : "memory")

ms_inline __u64 ms_opening_tag(const struct ms_packet *packet)
{
	return ms_key_hash(packet) | 1;
}

/* The first or second set of a tag. The high half of the tag hangs on all of the key, so does each choice. */
ms_inline struct ms_opening_set *ms_opening_set_of(const int family, const int second, __u64 tag)
{
	const __u32 sets = family == 4 ? MS_ENTRIES_OPENING4 : MS_ENTRIES_OPENING6;
	const __u64 chooses = second ? (tag >> 32) * MS_HASH_FACTOR : tag;
	int place = chooses >> MS_OPENING_HASH_SHIFT & (sets - 1);

	if (family == 4)
		return (struct ms_opening_set *)opening4.lookup(&place);
	return (struct ms_opening_set *)opening6.lookup(&place);
}

/* A bit for each way that has this tag. */
ms_inline __u32 ms_opening_ways(const struct ms_opening_set *set, __u64 tag)
{
	__u32 others = 0;

	for (int way = 0; way < MS_OPENING_WAYS; way++)
		others |= ms_is_set(set->tag[way] ^ tag) << way;
	return others ^ MS_OPENING_ALL;
}

/* A bit for each way that is free: a tag is odd. */
ms_inline __u32 ms_opening_free(const struct ms_opening_set *set)
{
	__u32 taken = 0;

	for (int way = 0; way < MS_OPENING_WAYS; way++)
		taken |= (set->tag[way] & 1) << way;
	return taken ^ MS_OPENING_ALL;
}

ms_inline int ms_opening_is_of(const int family, const struct ms_opening_set *set, __u64 way,
			       const struct ms_packet *packet)
{
	const __u64 *key, *word = packet->word;

	if (family == 4) {
		key = (const __u64 *)&((const struct ms_opening4 *)set)->key[way];
		return key[0] == word[0] && key[1] == word[1];
	}
	key = (const __u64 *)&((const struct ms_opening6 *)set)->key[way];
	return key[0] == word[0] && key[1] == word[1] && key[2] == word[2] && key[3] == word[3] && key[4] == word[4];
}

/* The session of this packet in one set; 0: it isn't there. */
ms_inline struct ms_session *ms_opening_in(const int family, struct ms_opening_set *set, __u64 tag,
					   const struct ms_packet *packet)
{
	__u32 found;
	__u64 way;

	if (!set)
		return 0;
	found = ms_opening_ways(set, tag);
	if (!found)
		return 0;
	way = ms_first_way(found);
	if (!ms_opening_is_of(family, set, way, packet))
		return 0;
	if (!(set->recent >> way & 1))
		set->recent |= 1U << way;
	return &set->session[way];
}

/* The session of this packet that opens; 0: there is none. */
ms_inline struct ms_session *ms_opening_find(const int family, const struct ms_packet *packet)
{
	const __u64 tag = ms_opening_tag(packet);
	struct ms_session *session = ms_opening_in(family, ms_opening_set_of(family, 0, tag), tag, packet);

	return session ? session : ms_opening_in(family, ms_opening_set_of(family, 1, tag), tag, packet);
}

/* The way to displace: in turn, but not one that was found since it was stored or spared. */
ms_inline __u64 ms_opening_turn(struct ms_opening_set *set)
{
	__u64 way = set->turn & (MS_OPENING_WAYS - 1);

	for (int spared = 0; spared < MS_OPENING_WAYS && set->recent >> way & 1; spared++) {
		set->recent &= ~(1U << way);
		way = (way + 1) & (MS_OPENING_WAYS - 1);
	}
	set->turn = way + 1;
	return way;
}

/* How many of some ways there are. */
ms_inline __u32 ms_opening_number(__u32 ways)
{
	return (ways & 1) + (ways >> 1 & 1) + (ways >> 2 & 1) + (ways >> 3);
}

/* Store a session that isn't there yet. Returns 0, or -1 when there is no place for it. */
ms_inline long ms_opening_store(const int family, const struct ms_packet *packet, const struct ms_session *session)
{
	const __u64 tag = ms_opening_tag(packet);
	struct ms_opening_set *set = ms_opening_set_of(family, 0, tag), *second = ms_opening_set_of(family, 1, tag);
	__u32 free, others;
	__u64 way;

	if (!set || !second)
		return -1;
	free = ms_opening_free(set);
	others = ms_opening_free(second);
	if (ms_opening_number(others) > ms_opening_number(free)) {
		set = second;
		free = others;
	}
	way = free ? ms_first_way(free) : ms_opening_turn(set);
	set->tag[way] = 0;
	MS_IN_ORDER();
	if (family == 4)
		((struct ms_opening4 *)set)->key[way] = packet->key4;
	else
		((struct ms_opening6 *)set)->key[way] = packet->key6;
	set->session[way] = *session;
	set->recent &= ~(1U << way);
	MS_IN_ORDER();
	set->tag[way] = tag;
	return 0;
}

ms_inline void ms_opening_take_from(struct ms_opening_set *set, __u64 tag)
{
	if (!set)
		return;
	for (int way = 0; way < MS_OPENING_WAYS; way++)
		if (set->tag[way] == tag)
			set->tag[way] = 0;
}

ms_inline void ms_opening_delete(const int family, const struct ms_packet *packet)
{
	const __u64 tag = ms_opening_tag(packet);

	ms_opening_take_from(ms_opening_set_of(family, 0, tag), tag);
	ms_opening_take_from(ms_opening_set_of(family, 1, tag), tag);
}

#endif
