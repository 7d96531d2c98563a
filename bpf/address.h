/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sets contain an address: a longest-prefix match, whose cost grows with the policy. So what it said is
 * remembered for a second, by a line for each address and a table of them for each CPU: this host's own addresses, and
 * those of clients that open one connection after the other, are matched once. A line speaks for one generation (I1).
 */
#ifndef MICROSEG_ADDRESS_H
#define MICROSEG_ADDRESS_H

#include "scratch.h"

#define MS_ADDRESS_BITS 8
#define MS_ADDRESS_SETS 9
#define MS_ADDRESS_JIFFIES 100 /* a second at the lowest rate there is */

struct ms_address_line {
	struct ms_address6 address; /* IPv4 in the first word */
	__u32 generation;	    /* 0: empty */
	__u32 until;		    /* jiffies, the low half */
	__u8 family;
	__u8 count;
	__u8 zero[2];
	__u32 id[MS_ADDRESS_SETS]; /* longer lists aren't remembered */
};
_Static_assert(sizeof(struct ms_address_line) == 64, "an address is one cache line");

struct ms_address_lines {
	struct ms_address_line line[1 << MS_ADDRESS_BITS];
};
BPF_TABLE("percpu_array", int, struct ms_address_lines, addresses, 1);

ms_inline struct ms_address6 ms_address_of(const struct ms_packet *packet, __u32 second)
{
	struct ms_address6 address = {};

	if (packet->family == 4)
		address.word[0] = second ? packet->key4.address[1] : packet->key4.address[0];
	else
		address = second ? packet->key6.address[1] : packet->key6.address[0];
	return address;
}

/* The lines of this CPU; 0 for a question of user space, which touches nothing. */
ms_inline struct ms_address_line *ms_address_line(const struct ms_address6 *address, const int remember)
{
	__u32 hash = address->word[0] ^ address->word[1] * 3 ^ address->word[2] * 5 ^ address->word[3] * 7;
	struct ms_address_lines *lines;
	int zero = 0;

	if (!remember)
		return 0;
	lines = addresses.lookup(&zero);
	return lines ? &lines->line[hash * 0x9e3779b1U >> (32 - MS_ADDRESS_BITS)] : 0;
}

ms_inline int ms_address_is_known(const struct ms_address_line *line, const struct ms_address6 *address,
				  const struct ms_scratch *scratch)
{
	if (line->generation != scratch->generation || line->family != scratch->packet.family)
		return 0;
	if (line->address.word[0] != address->word[0] || line->address.word[1] != address->word[1] ||
	    line->address.word[2] != address->word[2] || line->address.word[3] != address->word[3])
		return 0;
	return (__s32)(line->until - (__u32)scratch->now) > 0;
}

/* The barriers keep both lookups apart, each of one map only: the kernel makes those direct calls. */
ms_inline struct ms_set_list *ms_address_match(const struct ms_address6 *address, __u8 family, const int slot)
{
	struct ms_set_list *list;

	if (family == 4) {
		struct ms_ipcache4_key key = {.prefix_bits = 32, .address = address->word[0]};

		list = slot ? ipcache4_b.lookup(&key) : ipcache4_a.lookup(&key);
		asm volatile("# 4" : "+r"(list));
	} else {
		struct ms_ipcache6_key key = {.prefix_bits = 128};

		__builtin_memcpy(key.address, address->word, sizeof(key.address));
		list = slot ? ipcache6_b.lookup(&key) : ipcache6_a.lookup(&key);
		asm volatile("# 6" : "+r"(list));
	}
	return list;
}

/* Write the sets that contain an endpoint of the packet's key to `id`, and return how many there are. */
ms_inline __u32 ms_sets_of(const struct ms_scratch *scratch, __u32 second, const int slot, const int remember,
			   __u32 *id)
{
	const struct ms_address6 address = ms_address_of(&scratch->packet, second);
	struct ms_address_line *line = ms_address_line(&address, remember);
	struct ms_set_list *list;
	__u32 count;

	if (line && ms_address_is_known(line, &address, scratch)) {
		__builtin_memcpy(id, line->id, sizeof(line->id));
		return line->count;
	}
	list = ms_address_match(&address, scratch->packet.family, slot);
	count = list ? list->count : 0;
	if (list)
		__builtin_memcpy(id, list->id, sizeof(list->id));
	if (!line || count > MS_ADDRESS_SETS)
		return count;
	line->address = address;
	line->generation = scratch->generation;
	line->until = scratch->now + MS_ADDRESS_JIFFIES;
	line->family = scratch->packet.family;
	line->count = count;
	__builtin_memcpy(line->id, id, sizeof(line->id));
	return count;
}

#endif
