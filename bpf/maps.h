/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All maps. Each is pinned as MS_PIN_DIR/NAME and reused when it is there already; capacities are flags
 * (MS_ENTRIES_...). Suffix _a is slot 0, _b is slot 1.
 */
#ifndef MICROSEG_MAPS_H
#define MICROSEG_MAPS_H

#include "abi.h"

#define MS_MAP(type, key, value, name, entries, flags)                                                                 \
	BPF_TABLE_PINNED(type, key, value, name, entries, MS_PIN_DIR "/" #name, flags)

/* The policy, one set per slot; written by user space only. */
MS_MAP("lpm_trie", struct ms_ipcache4_key, struct ms_set_list, ipcache4_a, MS_ENTRIES_IPCACHE4, BPF_F_NO_PREALLOC);
MS_MAP("lpm_trie", struct ms_ipcache4_key, struct ms_set_list, ipcache4_b, MS_ENTRIES_IPCACHE4, BPF_F_NO_PREALLOC);
MS_MAP("lpm_trie", struct ms_ipcache6_key, struct ms_set_list, ipcache6_a, MS_ENTRIES_IPCACHE6, BPF_F_NO_PREALLOC);
MS_MAP("lpm_trie", struct ms_ipcache6_key, struct ms_set_list, ipcache6_b, MS_ENTRIES_IPCACHE6, BPF_F_NO_PREALLOC);
MS_MAP("lpm_trie", struct ms_service_key, struct ms_service_list, service_a, MS_ENTRIES_SERVICE, BPF_F_NO_PREALLOC);
MS_MAP("lpm_trie", struct ms_service_key, struct ms_service_list, service_b, MS_ENTRIES_SERVICE, BPF_F_NO_PREALLOC);
MS_MAP("hash", struct ms_policy_key, struct ms_policy_value, policy_a, MS_ENTRIES_POLICY, BPF_F_NO_PREALLOC);
MS_MAP("hash", struct ms_policy_key, struct ms_policy_value, policy_b, MS_ENTRIES_POLICY, BPF_F_NO_PREALLOC);
MS_MAP("array", int, struct ms_slot_config, slot_config, 2, 0);

/* Low 32 bits: the generation in force; high 32 bits: boot time in seconds after which the other slot is. (I1) */
MS_MAP("array", int, __u64, policy_root, 1, BPF_F_MMAPABLE);

/* Settings: written by user space only. */
MS_MAP("array", int, struct ms_settings, config, 1, 0);

/* Sessions: both sides have spoken, and the opener again. */
MS_MAP("lru_hash", struct ms_key4, struct ms_session, session4, MS_ENTRIES_SESSION4, 0);
MS_MAP("lru_hash", struct ms_key6, struct ms_session, session6, MS_ENTRIES_SESSION6, 0);

/* Those that haven't are apart, so a flood of them evicts no other: sets by a hash of their keys, see opening.h. Memory
 * that can be mapped begins on a page, so that their parts are cache lines. */
MS_MAP("array", int, struct ms_opening4, opening4, MS_ENTRIES_OPENING4, BPF_F_MMAPABLE);
MS_MAP("array", int, struct ms_opening6, opening6, MS_ENTRIES_OPENING6, BPF_F_MMAPABLE);

/* How many sessions were stored, by a hash of their keys; see denied.h. */
MS_MAP("array", int, __u32, openings, MS_ENTRIES_OPENINGS, 0);

/* The flow cache: places of two lines each, a region of them for each CPU that there may be. */
MS_MAP("array", int, struct ms_lines4, flow4, MS_ENTRIES_FLOW4, BPF_F_MMAPABLE);
MS_MAP("array", int, struct ms_lines6, flow6, MS_ENTRIES_FLOW6, BPF_F_MMAPABLE);

/* Packets whose first fragment passed, so that the later ones may follow. */
MS_MAP("lru_hash", struct ms_fragment_key4, struct ms_fragment, fragment4, MS_ENTRIES_FRAGMENT4, 0);
MS_MAP("lru_hash", struct ms_fragment_key6, struct ms_fragment, fragment6, MS_ENTRIES_FRAGMENT6, 0);

/* Counts and events: written here, read by user space. */
MS_MAP("percpu_array", int, struct ms_stats, stats, 1, 0);
MS_MAP("array", int, struct ms_rule_line, rule_lines, MS_ENTRIES_RULE_LINES, BPF_F_MMAPABLE);
MS_MAP("percpu_hash", __u32, struct ms_rule_count, rule_counters, MS_ENTRIES_RULE_COUNTERS, BPF_F_NO_PREALLOC);

/* bcc has no macro for a ring buffer that is pinned. */
struct flow_events_table_t {
	int key;
	__u32 leaf;
	int (*ringbuf_output)(void *, __u64, __u64);
	void *(*ringbuf_reserve)(__u64);
	void (*ringbuf_discard)(void *, __u64);
	void (*ringbuf_submit)(void *, __u64);
	__u32 max_entries;
};
__attribute__((section("maps/ringbuf:" MS_PIN_DIR "/flow_events"))) struct flow_events_table_t flow_events = {
    .max_entries = MS_ENTRIES_FLOW_EVENTS,
};

#endif
