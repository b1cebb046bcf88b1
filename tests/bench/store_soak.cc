#include "tests/bench/store_soak.h"

#include <sys/stat.h>

#include <memory>
#include <string>

#include "base/check.h"
#include "base/clock.h"
#include "base/shm_segment.h"
#include "client/plasma/mapped_index.h"
#include "store/memory_budget.h"
#include "store/object_store.h"

namespace raylet::bench {
namespace {

using namespace raylet::store;

// As plasma_store's main builds it, but for the index, which nobody finds by name.
class Core {
 public:
  explicit Core(uint64_t capacity_bytes)
      : budget_(MemoryBudget::For(capacity_bytes)),
        index_bytes_(IndexSegmentBytes(budget_.index_entries_max)),
        fd_(*CreateMemfd("soak-index", index_bytes_, false)),
        mapping_(*Mapping::Map(fd_.get(), index_bytes_, Mapping::Access::kReadWrite)),
        header_(InitIndexSegment(mapping_.data(), budget_.index_entries_max)),
        arena_(*Arena::Create(capacity_bytes)),
        page_(std::make_unique<PinPage>()),
        store_(capacity_bytes, *arena_, header_, clock_, {fd_.get(), budget_.index_entries}),
        client_(*store_.AddClient(1, "soak", page_.get())),
        reader_(*client::MappedIndex::Open(fd_.get())) {}

  // Seconds, evictions included.
  double Put(uint64_t data_bytes) {
    const auto id = ObjectId::FromRandom();
    FullNumbers full;
    const double start = NowSeconds();
    const auto offset = store_.Create(client_, id, {.data_bytes = data_bytes}, full);
    RAYLET_CHECK(offset.has_value(), offset.error().message);
    RAYLET_CHECK(store_.Seal(client_, id).has_value(), "seal failed");
    return NowSeconds() - start;
  }
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
    return shared / static_cast<double>(count()) + kNoteBytesPerEntry;
  }

 private:
  const MemoryBudget budget_;
  const size_t index_bytes_;
  const UniqueFd fd_;
  const Mapping mapping_;
  IndexHeader* const header_;
  const std::unique_ptr<Arena> arena_;
  const std::unique_ptr<PinPage> page_;
  const SteadyClock clock_;
  ObjectStore store_;
  const uint32_t client_;
  const client::MappedIndex reader_;
};

Figure OneFigure(const std::string& name, double value, const std::string& unit, const std::string& limit_name,
                 double limit) {
  Figure figure;
  figure.name = name;
  figure.p50 = figure.p99 = value;
  figure.unit = unit;
  figure.limit_name = limit_name;
  figure.limit = limit;
  return figure;
}

void Soak(std::vector<Figure>& figures) {
  Core core(uint64_t{1} << 30);
  std::vector<double> puts, evicting;
  auto put_until = [&, done = 0](int wanted) mutable {
    for (; done < wanted; ++done) {
      const uint64_t evictions = core.evictions();
      puts.push_back(core.Put(1024));
      if (core.evictions() != evictions) evicting.push_back(puts.back());
    }
  };
  constexpr int kFirst = 1'000'000, kAll = 10'000'000;
  put_until(kFirst);
  const std::vector<double> first = core.Misses();
  puts.clear();
  put_until(kAll);
  const std::vector<double> last = core.Misses();
  const double miss_ns = Percentile(first, 50) * 1e9;
  figures.push_back(TimeFigure("miss after 1 million puts", first, 1e9, "ns", "the same", miss_ns));
  figures.push_back(TimeFigure("miss after 10 million puts", last, 1e9, "ns", "after 1 million", miss_ns));
  figures.back().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 1.5};
  figures.push_back(TimeFigure("put in the core, full store", puts, 1e9, "ns", "a miss", miss_ns));
  figures.push_back(TimeFigure("one that evicts a batch", evicting, 1e6, "us", "", 0));
}

void AMillion(std::vector<Figure>& figures) {
  Core core(uint64_t{2} << 30);
  for (int i = 0; i < 1'000'000; ++i) core.Put(1024);
  RAYLET_CHECK(core.evictions() == 0, "a million objects of 1 KiB do not fit in 2 GiB");
  figures.push_back(OneFigure("bytes beside one of a million", core.BytesPerObject(), "bytes", "the index's entry",
                              static_cast<double>(sizeof(IndexEntry))));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 128};
  figures.push_back(TimeFigure("miss beside a million", core.Misses(), 1e9, "ns", "", 0));
  figures.push_back(OneFigure("list of a million", core.SecondsOfList() * 1e3, "ms", "", 0));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 1000};
}

void TenMillion(std::vector<Figure>& figures) {
  Core core(uint64_t{2} << 30);
  std::vector<double> puts;
  while (core.evictions() == 0) puts.push_back(core.Put(64));
  figures.push_back(
      OneFigure("objects of 64 bytes in 2 GiB", static_cast<double>(core.count()) / 1e6, "million", "", 0));
  figures.push_back(TimeFigure("put of 64 bytes in the core", puts, 1e9, "ns", "", 0));
  figures.push_back(TimeFigure("miss beside all of them", core.Misses(), 1e9, "ns", "", 0));
}

}  // namespace

std::vector<Figure> SoakFigures() {
  std::vector<Figure> figures;
  Soak(figures);
  AMillion(figures);
  TenMillion(figures);
  return figures;
}

}  // namespace raylet::bench
