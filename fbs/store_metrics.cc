#include "fbs/store_metrics.h"

namespace raylet {
namespace {

constexpr int kTries = 100;  // to see the store between two changes

double Value(const std::atomic<uint64_t>& word) { return static_cast<double>(word.load(std::memory_order_acquire)); }

double FreeBytes(const IndexHeader& index) {
  const IndexCounters& counters = index.counters;
  const double used = Value(counters.sealed_bytes) + Value(counters.unsealed_bytes) + Value(counters.dying_bytes) +
                      Value(counters.restoring_bytes);
  return std::max(0.0, static_cast<double>(index.capacity_bytes) - used);
}

template <std::atomic<uint64_t> IndexCounters::*kCounter>
double Read(const IndexHeader& index) {
  return Value(index.counters.*kCounter);
}

constexpr StoreMetric kMetrics[] = {
    {"plasma_store_capacity_bytes", "Bytes of objects that the store holds at most (-m).", false, "", "",
     [](const IndexHeader& index) { return static_cast<double>(index.capacity_bytes); }},
    {"plasma_store_free_bytes", "Bytes of the capacity that are no object's.", false, "", "", FreeBytes},
    {"plasma_store_object_bytes", "Bytes of data and metadata, as asked for, by the objects' state.", false, "state",
     "sealed", Read<&IndexCounters::sealed_bytes>},
    {"plasma_store_object_bytes", "", false, "state", "unsealed", Read<&IndexCounters::unsealed_bytes>},
    {"plasma_store_object_bytes", "", false, "state", "dying", Read<&IndexCounters::dying_bytes>},
    {"plasma_store_object_bytes", "", false, "state", "spilled", Read<&IndexCounters::spilled_bytes>},
    {"plasma_store_objects", "Objects by their state.", false, "state", "sealed", Read<&IndexCounters::sealed_count>},
    {"plasma_store_objects", "", false, "state", "unsealed", Read<&IndexCounters::unsealed_count>},
    {"plasma_store_objects", "", false, "state", "dying", Read<&IndexCounters::dying_count>},
    {"plasma_store_objects", "", false, "state", "spilled", Read<&IndexCounters::spilled_count>},
    {"plasma_store_restoring_bytes", "Bytes taken for spilled objects that are being read.", false, "", "",
     Read<&IndexCounters::restoring_bytes>},
    {"plasma_store_spill_file_bytes", "Bytes of the files of spilled objects, with what is dead in them.", false, "",
     "", Read<&IndexCounters::spill_file_bytes>},
    {"plasma_store_physical_bytes", "Bytes of the arena that objects take, with what rounding costs.", false, "", "",
     Read<&IndexCounters::physical_bytes>},
    {"plasma_store_leased_bytes", "Of these: runs that clients may put small objects into.", false, "", "",
     Read<&IndexCounters::leased_bytes>},
    {"plasma_store_arena_bytes", "Bytes of the arena: the capacity, and room for rounding.", false, "", "",
     [](const IndexHeader& index) { return static_cast<double>(index.arena_bytes); }},
    {"plasma_store_lent_bytes", "Bytes of the arena that went to the index.", false, "", "",
     Read<&IndexCounters::lent_bytes>},
    {"plasma_store_clients", "Connected clients.", false, "", "", Read<&IndexCounters::clients>},
    {"plasma_store_watched_ids", "Objects whose seals clients wait to be told of.", false, "", "",
     Read<&IndexCounters::watched_ids>},
    {"plasma_store_creates_total", "Objects created.", true, "", "", Read<&IndexCounters::creates>},
    {"plasma_store_seals_total", "Objects sealed.", true, "", "", Read<&IndexCounters::seals>},
    {"plasma_store_deletes_total", "Objects that clients deleted.", true, "", "", Read<&IndexCounters::deletes>},
    {"plasma_store_evictions_total", "Objects evicted.", true, "", "", Read<&IndexCounters::evictions>},
    {"plasma_store_evicted_bytes_total", "Bytes of the evicted objects.", true, "", "",
     Read<&IndexCounters::evicted_bytes>},
    {"plasma_store_full_total", "Creates that were refused because the store was full.", true, "", "",
     Read<&IndexCounters::full_failures>},
    {"plasma_store_spills_total", "Objects written to disk to make room.", true, "", "", Read<&IndexCounters::spills>},
    {"plasma_store_spilled_bytes_total", "Bytes of these objects.", true, "", "",
     Read<&IndexCounters::spilled_out_bytes>},
    {"plasma_store_restores_total", "Spilled objects read back into memory.", true, "", "",
     Read<&IndexCounters::restores>},
    {"plasma_store_restored_bytes_total", "Bytes of these objects.", true, "", "",
     Read<&IndexCounters::restored_bytes>},
    {"plasma_store_spill_failures_total", "Files of spilled objects that could not be written.", true, "", "",
     Read<&IndexCounters::spill_failures>},
    {"plasma_store_lost_objects_total", "Spilled objects whose bytes could not be read any more.", true, "", "",
     Read<&IndexCounters::lost_objects>},
    {"plasma_store_received_bytes_total", "Bytes that clients sent over the socket.", true, "", "",
     Read<&IndexCounters::bytes_received>},
    {"plasma_store_sent_bytes_total", "Bytes that the store sent over the socket.", true, "", "",
     Read<&IndexCounters::bytes_sent>},
    {"plasma_store_start_time_seconds", "When the store started, in seconds since 1970.", false, "", "",
     [](const IndexHeader& index) { return static_cast<double>(index.started_unix_ms) / 1000; }},
};

}  // namespace

std::span<const StoreMetric> StoreMetrics() { return kMetrics; }

std::vector<double> ReadStoreMetrics(const IndexHeader& index) {
  std::vector<double> values;
  values.reserve(std::size(kMetrics));
  const std::atomic<uint64_t>& changes = index.counters.mutation_seq;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = changes.load(std::memory_order_acquire);
    values.clear();
    for (const StoreMetric& metric : kMetrics) values.push_back(metric.read(index));
    if (before % 2 == 0 && changes.load(std::memory_order_acquire) == before) break;
  }
  return values;
}

}  // namespace raylet
