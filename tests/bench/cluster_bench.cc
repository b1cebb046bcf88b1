// cluster_bench: work that one machine sends to another, over loopback and with daemons of its own,
// beside a TCP round trip between two processes of this machine. The driver belongs to machine A.
// Only B has the resource that the work asks for, so all of it goes there. transfer_bench measures the
// objects' bytes alone.
//   cluster_bench --brief   few of each, for the test run
//   cluster_bench --sleeps  a thousand tasks of one second on three machines of eight CPUs
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include <ray/api.h>

#include "tests/bench/bench_flags.h"
#include "tests/bench/figures.h"
#include "tests/bench/iperf3.h"
#include "tests/bench/machine_limits.h"
#include "tests/cluster/machines.h"

namespace raylet::bench {
namespace {

constexpr const char* kBrief = "--brief";
constexpr const char* kSleeps = "--sleeps";
constexpr int kWarmUp = 500;

int Increment(int value) { return value + 1; }
int SleepOneSecond() {
  ::usleep(1'000'000);
  return 0;
}
ray::Array<float> Filled(size_t count) { return ray::Array<float>::CopyOf(std::vector<float>(count, 1)); }
size_t TotalSize(const std::vector<ray::ObjectRef<std::string>>& texts) {
  size_t total = 0;
  for (const auto& text : ray::Get(texts)) total += text->size();
  return total;
}
class Counter {
 public:
  static Counter* Create() { return new Counter(); }
  int Add(int by) { return value_ += by; }

 private:
  int value_ = 0;
};
RAY_REMOTE(Increment, SleepOneSecond, Filled, TotalSize, Counter::Create, &Counter::Add);

struct Counts {
  int one_at_a_time, pipelined, rounds;
  bool objects;
};
constexpr Counts kFull{5'000, 20'000, 15, true};
constexpr Counts kFew{300, 2'000, 3, false};

// Tasks that only B can run.
template <class F, class... Arguments>
auto There(F function, Arguments&&... arguments) {
  return ray::Task(function).SetResource("there", 0.0001).Remote(std::forward<Arguments>(arguments)...);
}

std::vector<double> Seconds(int count, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    const double start = NowSeconds();
    work();
    seconds.push_back(NowSeconds() - start);
  }
  return seconds;
}

template <class Submit>
Figure Pipelined(const std::string& name, const Counts& counts, double limit, Submit submit) {
  std::vector<double> rates;
  for (int round = 0; round < counts.rounds; ++round) {
    std::vector<decltype(submit())> results;
    results.reserve(static_cast<size_t>(counts.pipelined));
    const double start = NowSeconds();
    for (int i = 0; i < counts.pipelined; ++i) results.push_back(submit());
    for (const auto& result : results) result.Get();
    rates.push_back(counts.pipelined / (NowSeconds() - start));
  }
  Figure figure;
  figure.name = name;
  figure.p50 = Percentile(rates, 50);
  figure.p99 = Percentile(rates, 1);  // for a rate, the slow tail
  figure.unit = "calls/s";
  figure.limit_name = "256-byte messages over TCP, pipelined";
  figure.limit = limit;
  return figure;
}

void JoinAs(const test::Machine& machine) {
  ray::RayConfig config;
  config.address = machine.socket();
  ray::Init(config);
}

std::vector<Figure> Work(const Counts& counts) {
  const double tcp_us = TcpRoundTripUs();
  const double tcp_calls = PipelinedTcpCallsPerSecond();
  const double tcp_gbs = counts.objects ? TcpStreamGBs() : 0;
  const auto iperf3_gbs = counts.objects ? Iperf3StreamGBs() : Result<double>(0);
  const std::string round_trip = "round trip over TCP";
  const test::RunFolder folder;
  const std::string token = test::WriteToken(folder);
  const test::Machine a(token, {"--num-cpus", "2"}, "1500M");
  const test::Machine b(token, {"--num-cpus", "2", "--resources", R"({"there": 1})", "--peers", a.address}, "1500M");
  JoinAs(a);
  std::vector<Figure> figures;
  for (int i = 0; i < kWarmUp; ++i) There(Increment, 1).Get();
  figures.push_back(TimeFigure("remote task, one at a time",
                               Seconds(counts.one_at_a_time, [] { There(Increment, 1).Get(); }), 1e6, "us", round_trip,
                               tcp_us));
  figures.push_back(Pipelined("remote tasks, pipelined", counts, tcp_calls, [] { return There(Increment, 1); }));
  figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtLeast, 50'000};
  {
    auto actor = ray::Actor(Counter::Create).SetResource("there", 0.0001).Remote();
    for (int i = 0; i < kWarmUp; ++i) actor.Task(&Counter::Add).Remote(1).Get();
    figures.push_back(TimeFigure("remote actor call, one at a time",
                                 Seconds(counts.one_at_a_time, [&] { actor.Task(&Counter::Add).Remote(1).Get(); }), 1e6,
                                 "us", round_trip, tcp_us));
    figures.back().promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 3};
    figures.push_back(Pipelined("remote actor calls, pipelined", counts, tcp_calls,
                                [&] { return actor.Task(&Counter::Add).Remote(1); }));
    figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtLeast, 50'000};
  }
  if (counts.objects) {
    // Each object goes before the next one is made. The first finds unused pages.
    constexpr size_t kFloats = (size_t{1} << 30) / sizeof(float);
    std::vector<double> rates;
    for (int round = 0; round < 5; ++round) {
      const auto made = There(Filled, kFloats);
      ray::Wait(std::vector<ray::ObjectRef<ray::Array<float>>>{made}, 1, 60'000);
      const double start = NowSeconds();
      made.Get();
      rates.push_back(static_cast<double>(size_t{1} << 30) / 1e9 / (NowSeconds() - start));
    }
    Figure large;
    large.name = "get of 1 GiB made there";
    large.p50 = Percentile(rates, 50);
    large.p99 = Percentile(rates, 1);
    large.unit = "GB/s";
    large.limit_name = "one TCP stream";
    large.limit = tcp_gbs;
    large.promise = {Promise::Of::kRatio, Promise::Side::kAtLeast, 0.7};
    figures.push_back(large);
    if (iperf3_gbs) {
      large.name = "the same, beside iperf3";
      large.limit_name = "iperf3, one stream";
      large.limit = *iperf3_gbs;
      figures.push_back(large);
    } else {
      std::fprintf(stderr, "%s\n", iperf3_gbs.error().message.c_str());
    }
    std::vector<double> seconds;
    for (int round = 0; round < 5; ++round) {
      std::vector<ray::ObjectRef<std::string>> small;
      for (int i = 0; i < 10'000; ++i) small.push_back(ray::Put(std::string(1024, 'x')));
      seconds.push_back(Seconds(1, [&] { There(TotalSize, small).Get(); })[0]);
    }
    figures.push_back(TimeFigure("10,000 objects of 1 KiB to a task", seconds, 1e3, "ms", "10,000 round trips over TCP",
                                 tcp_us * 10));
    figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 2'000};
    seconds.clear();
    for (int round = 0; round < 3; ++round) {
      std::vector<ray::ObjectRef<ray::Array<float>>> made;
      for (int i = 0; i < 10'000; ++i) made.push_back(There(Filled, 1024 / sizeof(float)));
      ray::Wait(made, static_cast<int>(made.size()), 60'000);
      seconds.push_back(Seconds(1, [&] { ray::Get(made); })[0]);
    }
    figures.push_back(TimeFigure("get of 10,000 arrays of 1 KiB made there", seconds, 1e3, "ms",
                                 "10,000 round trips over TCP", tcp_us * 10));
    figures.back().promise = {Promise::Of::kMedian, Promise::Side::kAtMost, 2'000};
  }
  ray::Shutdown();
  return figures;
}

std::vector<Figure> Sleeps() {
  constexpr int kTasks = 1'000, kMachines = 3, kCpusEach = 8;
  const test::RunFolder folder;
  const std::string token = test::WriteToken(folder);
  const test::Machine a(token, {"--num-cpus", "8"});
  const test::Machine b(token, {"--num-cpus", "8", "--peers", a.address});
  const test::Machine c(token, {"--num-cpus", "8", "--peers", a.address + "," + b.address});
  JoinAs(a);
  const auto seconds = Seconds(1, [] {
    std::vector<ray::ObjectRef<int>> results;
    for (int i = 0; i < kTasks; ++i) results.push_back(ray::Task(SleepOneSecond).Remote());
    for (const auto& result : results) result.Get();
  });
  ray::Shutdown();
  constexpr int kSlots = kMachines * kCpusEach;
  Figure figure = TimeFigure("1,000 sleeps of 1 s on 3 machines", seconds, 1, "s", "rounds of 24 tasks",
                             (kTasks + kSlots - 1) / kSlots);
  figure.promise = {Promise::Of::kRatio, Promise::Side::kAtMost, 1.1};
  return {figure};
}

int Run(const BenchFlags& flags) {
  if (flags.only == kSleeps) return Report(flags, Sleeps());
  return Report(flags, Work(flags.only == kBrief ? kFew : kFull));
}

}  // namespace
}  // namespace raylet::bench

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  int exit_code = 0;
  const auto flags = raylet::bench::ReadFlags(argc, argv,
                                              "cluster_bench: what work for another machine costs, with daemons of "
                                              "its own on loopback.",
                                              exit_code, {raylet::bench::kBrief, raylet::bench::kSleeps});
  return flags ? raylet::bench::Run(*flags) : exit_code;
}
