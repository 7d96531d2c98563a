/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search: which rule decides about a packet. Equal to microseg/policy/evaluate.py by construction (I4). */
#ifndef MICROSEG_POLICY_H
#define MICROSEG_POLICY_H

#include "debug.h"
#include "judged.h"
#include "scratch.h"

/* Write the sets that contain an endpoint of the packet's key to `id`, and return how many there are. The barriers keep
 * both lookups apart, each of one map only: the kernel makes those direct calls. */
ms_inline __u32 ms_sets_of(const struct ms_packet *packet, __u32 second, const int slot, __u32 *id)
{
	struct ms_set_list *list;

	if (packet->family == 4) {
		struct ms_ipcache4_key key = {.prefix_bits = 32};

		key.address = second ? packet->key4.address[1] : packet->key4.address[0];
		list = slot ? ipcache4_b.lookup(&key) : ipcache4_a.lookup(&key);
		asm volatile("# 4" : "+r"(list));
	} else {
		struct ms_ipcache6_key key = {.prefix_bits = 128};
		const struct ms_address6 *address = second ? &packet->key6.address[1] : &packet->key6.address[0];

		__builtin_memcpy(key.address, address->word, sizeof(key.address));
		list = slot ? ipcache6_b.lookup(&key) : ipcache6_a.lookup(&key);
		asm volatile("# 6" : "+r"(list));
	}
	if (!list)
		return 0;
	__builtin_memcpy(id, list->id, sizeof(list->id));
	return list->count;
}

/* Append the services under one port whose other port fits. */
ms_inline void ms_add_services(struct ms_search *s, struct ms_service_key *key, __u16 other, const int slot)
{
	struct ms_service_list *list = slot ? service_b.lookup(key) : service_a.lookup(key);
	__u32 count;

	if (!list)
		return;
	count = list->count;
	for (int i = 0; i < MS_MAX_SERVICES; i++) {
		struct ms_service_element *element = &list->element[i];

		if (i >= count)
			break;
		s->narrow |= element->low != 0 || element->high != 0xffff;
		if (other >= element->low && other <= element->high) {
			s->service[s->services & (2 * MS_MAX_SERVICES - 1)] = element->id;
			s->services++;
		}
	}
}

ms_inline void ms_find_services(struct ms_search *s, __u8 protocol, const struct ms_question *question, const int slot,
				__u8 slot_flags)
{
	struct ms_service_key key = {.prefix_bits = 32, .axis = MS_AXIS_DESTINATION, .protocol = protocol};

	s->services = 0;
	s->narrow = slot_flags & MS_SLOT_HAS_SOURCE_PORTS;
	key.port = bpf_htons(question->destination_port);
	ms_add_services(s, &key, question->source_port, slot);
	if (slot_flags & MS_SLOT_HAS_SOURCE_PORTS) {
		key.axis = MS_AXIS_SOURCE;
		key.port = bpf_htons(question->source_port);
		ms_add_services(s, &key, question->destination_port, slot);
	}
}

/*
 * Probe each (source set, destination set); where the pair has an entry that could win, probe each service too.
 * One flat loop, since the verifier refuses three nested ones. Returns 1 when it came to its end.
 */
ms_inline int ms_probe_all(struct ms_search *s, const int slot)
{
	s->i = s->j = s->k = 0;
	s->key.source_set = s->source[0];
	s->key.destination_set = s->destination[0];
	s->key.service = 0;
	for (int step = 0; step < MS_MAX_PROBES; step++) {
		struct ms_policy_value *value = slot ? policy_b.lookup(&s->key) : policy_a.lookup(&s->key);
		__u32 is_pair = s->key.service == 0;
		__u32 better = value && value->precedence < s->precedence;

		s->probes = step + 1;
		if (better && !is_pair) {
			s->precedence = value->precedence;
			s->rule = value->rule;
			s->verdict = value->verdict;
			s->flags = value->flags;
			ms_trace("hit %x -> %x : %x", s->key.source_set, s->key.destination_set, s->key.service);
		}
		if ((better || !is_pair) && s->k < s->services) {
			s->key.service = s->service[s->k & (2 * MS_MAX_SERVICES - 1)];
			s->k++;
			continue;
		}
		s->k = 0;
		s->key.service = 0;
		if (++s->j >= s->destinations) {
			s->j = 0;
			if (++s->i >= s->sources)
				return 1;
			s->key.source_set = s->source[s->i & (MS_MAX_SETS - 1)];
		}
		s->key.destination_set = s->destination[s->j & (MS_MAX_SETS - 1)];
	}
	return 0;
}

/* Judge under the policy of one slot. Returns 0 with the answer in the search, or why the packet is refused (I6). */
ms_inline __u32 ms_judge_in(struct ms_scratch *scratch, const int slot)
{
	const struct ms_packet *packet = &scratch->packet;
	const struct ms_question *question = &scratch->question;
	struct ms_search *s = &scratch->search;
	struct ms_slot_config *defaults;
	int index = slot;
	__u32 second = question->client;

	defaults = slot_config.lookup(&index);
	if (!defaults)
		return MS_DROP_INTERNAL;
	if (defaults->generation != scratch->generation || !defaults->default_verdict)
		return MS_DROP_SLOT;
	s->precedence = ~0U;
	s->rule = s->probes = 0;
	s->verdict = defaults->default_verdict;
	s->flags = defaults->default_flags;
	s->sources = ms_sets_of(packet, second, slot, s->source);
	s->destinations = ms_sets_of(packet, !second, slot, s->destination);
	ms_find_services(s, packet->protocol, question, slot, defaults->slot_flags);
	if (!s->sources || !s->destinations)
		return 0;
	return ms_probe_all(s, slot) ? 0 : MS_DROP_PROBES;
}

/* Judge, or remember what was; a question of user space (remember: 0) touches nothing. */
ms_inline __u32 ms_judge(struct ms_scratch *scratch, const int remember)
{
	__u32 outcome;

	if (remember && ms_judged_before(scratch))
		return 0;
	outcome = scratch->generation & 1 ? ms_judge_in(scratch, 1) : ms_judge_in(scratch, 0);
	ms_trace("verdict %u by rule %x after %u probes", scratch->search.verdict, scratch->search.rule,
		 scratch->search.probes);
	if (remember && !outcome)
		ms_judged_remember(scratch);
	return outcome;
}

/* The outcome of a verdict that doesn't pass. */
ms_inline __u32 ms_denial(const struct ms_search *s)
{
	if (s->verdict == MS_VERDICT_REJECT)
		return MS_DROP_REJECTED;
	return s->rule ? MS_DROP_DENIED : MS_DROP_DEFAULT;
}

#endif
