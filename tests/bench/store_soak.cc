#include "tests/bench/store_soak.h"

#include "base/strings.h"
#include "tests/bench/store_core.h"

namespace raylet::bench {

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

namespace {

using namespace raylet::store;

void Soak(std::vector<Figure>& figures, int millions) {
  StoreCore core(uint64_t{1} << 30);
  std::vector<double> puts, evicting;
  auto put_until = [&, done = 0](int wanted) mutable {
    for (; done < wanted; ++done) {
      const uint64_t evictions = core.evictions();
      puts.push_back(core.Put(1024));
      if (core.evictions() != evictions) evicting.push_back(puts.back());
    }
  };
  constexpr int kMillion = 1'000'000;
  put_until(kMillion);
  const std::vector<double> first = core.Misses();
  puts.clear();
  put_until(millions * kMillion);
  const std::vector<double> last = core.Misses();
  const double miss_ns = Percentile(first, 50) * 1e9;
  figures.push_back(TimeFigure("miss after 1 million puts", first, 1e9, "ns", "the same", miss_ns));
  figures.push_back(
      TimeFigure(StrCat("miss after ", millions, " million puts"), last, 1e9, "ns", "after 1 million", miss_ns));
  figures.back().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 1.5};
  figures.push_back(TimeFigure("put in the core, full store", puts, 1e9, "ns", "a miss", miss_ns));
  figures.push_back(TimeFigure("one that evicts a batch", evicting, 1e6, "us", "", 0));
}

void AMillion(std::vector<Figure>& figures) {
  StoreCore core(uint64_t{2} << 30);
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
  StoreCore core(uint64_t{2} << 30);
  std::vector<double> puts;
  while (core.evictions() == 0) puts.push_back(core.Put(64));
  figures.push_back(
      OneFigure("objects of 64 bytes in 2 GiB", static_cast<double>(core.count()) / 1e6, "million", "", 0));
  figures.push_back(TimeFigure("put of 64 bytes in the core", puts, 1e9, "ns", "", 0));
  figures.push_back(TimeFigure("miss beside all of them", core.Misses(), 1e9, "ns", "", 0));
}

}  // namespace

std::vector<Figure> SoakFigures(bool brief) {
  std::vector<Figure> figures;
  Soak(figures, brief ? 2 : 10);
  AMillion(figures);
  if (!brief) TenMillion(figures);
  return figures;
}

}  // namespace raylet::bench
