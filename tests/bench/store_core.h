// StoreCore: the store's core and a reader of its index in one process, without a socket between them.
// For benchmarks; one thread.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/shm_segment.h"
#include "client/plasma/mapped_index.h"
#include "store/memory_budget.h"
#include "store/object_store.h"
#include "tests/bench/figures.h"
#include "tests/harness/pin_page.h"

namespace raylet::bench {

// As plasma_store's main builds it, but for the index, which nobody finds by name.
class StoreCore {
 public:
  explicit StoreCore(uint64_t capacity_bytes)
      : budget_(store::MemoryBudget::For(capacity_bytes)),
        index_bytes_(IndexSegmentBytes(budget_.index_entries_max)),
        fd_(*CreateMemfd("soak-index", index_bytes_, false)),
        mapping_(*Mapping::Map(fd_.get(), index_bytes_, Mapping::Access::kReadWrite)),
        header_(InitIndexSegment(mapping_.data(), budget_.index_entries_max)),
        arena_(*store::Arena::Create(capacity_bytes)),
        page_(test::MakePinPage()),
        store_(capacity_bytes, *arena_, header_, clock_, {fd_.get(), budget_.index_entries}),
        client_(*store_.AddClient(1, "soak", page_.get())),
        reader_(*client::MappedIndex::Open(fd_.get())) {}

  // Seconds, evictions included.
  double Put(uint64_t data_bytes) {
    const auto put = TryPut(ObjectId::FromRandom(), {.data_bytes = data_bytes});
    RAYLET_CHECK(put.made, "a put failed");
    return put.seconds;
  }
  struct Outcome {
    double seconds = 0;
    bool made = false;
  };
  Outcome TryPut(const ObjectId& id, const store::ObjectOptions& options) {
    store::FullNumbers full;
    const double start = NowSeconds();
    const bool made = store_.Create(client_, id, options, full).has_value();
    if (made) RAYLET_CHECK(store_.Seal(client_, id).has_value(), "seal failed");
    return {NowSeconds() - start, made};
  }
  void Delete(const ObjectId& id) { RAYLET_CHECK(store_.Delete(id).has_value(), "delete failed"); }
  void Pin(const ObjectId& id) {
    const auto found = reader_.FindSealed(id);
    RAYLET_CHECK(found.has_value(), "a pin of an object that is not there");
    const uint32_t slot = page_->slots_high_water;
    page_->slots[slot] = static_cast<uint32_t>(found->entry) + 1;
    page_->slots_high_water = slot + 1;
  }
  store::Arena& arena() { return *arena_; }
  uint64_t moved_bytes() const { return store_.moved_bytes(); }
  // Seconds of one look for an object that is not there.
  std::vector<double> Misses() const {
    constexpr size_t kBatch = 1000, kBatches = 500;
    std::vector<ObjectId> ids(kBatch);
    std::vector<double> samples;
    for (size_t batch = 0; batch < kBatches; ++batch) {
      for (ObjectId& id : ids) id = ObjectId::FromRandom();
      size_t found = 0;
      const double start = NowSeconds();
      for (const ObjectId& id : ids) found += reader_.FindSealed(id) ? 1 : 0;
      samples.push_back((NowSeconds() - start) / kBatch);
      RAYLET_CHECK(found == 0, "an id that was just drawn is in the store");
    }
    return samples;
  }
  double SecondsOfList() const {
    const double start = NowSeconds();
    std::vector<client::EntrySnapshot> objects;
    for (uint64_t entry = 0; entry < reader_.entry_bound(); ++entry)
      if (const auto snapshot = reader_.Read(entry)) objects.push_back(*snapshot);
    RAYLET_CHECK(objects.size() == count(), "the list is not whole");
    return NowSeconds() - start;
  }
  uint64_t count() const { return header_->counters.sealed_count; }
  uint64_t evictions() const { return header_->counters.evictions; }
  double BytesPerObject() const {
    struct stat status {};
    RAYLET_CHECK(::fstat(fd_.get(), &status) == 0, "the index has no size");
    const auto shared = static_cast<double>(status.st_blocks) * 512;
    return shared / static_cast<double>(count()) + store::kNoteBytesPerEntry;
  }

 private:
  const store::MemoryBudget budget_;
  const size_t index_bytes_;
  const UniqueFd fd_;
  const Mapping mapping_;
  IndexHeader* const header_;
  const std::unique_ptr<store::Arena> arena_;
  const test::PinPagePtr page_;
  const SteadyClock clock_;
  store::ObjectStore store_;
  const uint32_t client_;
  const client::MappedIndex reader_;
};

Figure OneFigure(const std::string& name, double value, const std::string& unit, const std::string& limit_name = "",
                 double limit = 0);

}  // namespace raylet::bench
