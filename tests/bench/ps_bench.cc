// ps_bench: parameter servers on private daemons, beside the memory traffic that their work needs at least. The limits
// are plain loops over memory that was touched before, in the same run. --brief: smaller sizes, as in the test run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "client/parameter_server/kernels.h"
#include "tests/bench/bench_flags.h"
#include "tests/bench/figures.h"
#include "tests/bench/ps_bench_compressed.h"
#include "tests/bench/ps_bench_sparse.h"
#include "tests/bench/ps_bench_zmq.h"

namespace raylet::bench {
namespace {

namespace ps = ray::ps;
using FloatServer = ps::Parameters<float>;
using Side = Promise::Side;
using Of = Promise::Of;

// Samples of two things in turn, so that both see the same machine.
template <class One, class Two>
std::pair<std::vector<double>, std::vector<double>> InTurn(int count, One one, Two two) {
  std::vector<double> first, second;
  for (int i = -1; i < count; ++i) {  // the first of each is not counted
    const double start = NowSeconds();
    one();
    const double middle = NowSeconds();
    two();
    const double end = NowSeconds();
    if (i < 0) continue;
    first.push_back(middle - start);
    second.push_back(end - middle);
  }
  return {first, second};
}

std::string SizeText(size_t bytes) {
  if (bytes >= size_t{1} << 30) return std::to_string(bytes >> 30) + " GiB";
  if (bytes >= size_t{1} << 20) return std::to_string(bytes >> 20) + " MiB";
  return std::to_string(bytes >> 10) + " KiB";
}

// ---- one pass of the arithmetic, in one process

[[gnu::noinline]] void ThreeStreams(const float* parameters, const float* gradient, float* next, size_t count) {
  for (size_t i = 0; i < count; ++i) next[i] = parameters[i] - 0.1F * gradient[i];
}

void AddUpdates(std::vector<Figure>& figures, size_t bytes) {
  const size_t count = bytes / sizeof(float);
  const std::vector<float> parameters(count, 1), gradient(count, 2);
  std::vector<float> next(count), other(count);
  ps::internal::Optimiser<float> optimiser(ps::Sgd{.rate = 0.1}, ps::Schedule(), 0, count);
  const ps::internal::Step<float> step = {{gradient, 1}};
  const int repeats = static_cast<int>(std::max<size_t>(1, (size_t{1} << 20) / bytes));  // of what is too short to time
  const int samples = bytes >= size_t{1} << 30 ? 5 : 25;
  const auto [ours, plain] = InTurn(
      samples,
      [&] {
        for (int i = 0; i < repeats; ++i) optimiser.Apply(parameters, {&step, 1}, next);
      },
      [&] {
        for (int i = 0; i < repeats; ++i) ThreeStreams(parameters.data(), gradient.data(), other.data(), count);
      });
  const double limit = Percentile(plain, 50) * 1e6 / repeats;
  Figure figure =
      TimeFigure("update, " + SizeText(bytes), ours, 1e6 / repeats, "us", "a loop over three streams", limit);
  figure.promise = Promise{Of::kRatio, Side::kAtMost, 1 / 0.85};
  figures.push_back(figure);
}

void AddQueuedUpdates(std::vector<Figure>& figures, size_t bytes) {
  constexpr size_t kQueued = 8;
  const size_t count = bytes / sizeof(float);
  const std::vector<float> parameters(count, 1);
  const std::vector<std::vector<float>> gradients(kQueued, std::vector<float>(count, 2));
  std::vector<float> next(count);
  ps::internal::Optimiser<float> optimiser(ps::Sgd{.rate = 0.1}, ps::Schedule(), 0, count);
  std::vector<ps::internal::Step<float>> steps;
  for (const auto& gradient : gradients) steps.push_back({{gradient, 1}});
  const auto [all, one] = InTurn(
      11, [&] { optimiser.Apply(parameters, steps, next); },
      [&] {
        optimiser.Apply(parameters, {steps.data(), 1}, next);
      });
  Figure figure = TimeFigure("8 queued updates, " + SizeText(bytes), all, 1e3, "ms", "(8 + 2) / 3 of one update",
                             Percentile(one, 50) * 1e3 * (kQueued + 2) / 3);
  figure.promise = Promise{Of::kRatio, Side::kAtMost, 1.2};
  figures.push_back(figure);
}

// ---- servers in processes of their own

struct Echo {
  static Echo* Create() { return new Echo(); }
  int Same(int value) const { return value; }
};
RAY_REMOTE(Echo::Create, &Echo::Same);

// Beside a call of an actor that does nothing. Each many times in a row, as a worker asks: one process that waits for
// the next call is awake, and of two in turn one may sleep.
void AddGets(std::vector<Figure>& figures, size_t bytes) {
  const auto server = FloatServer::Create(bytes / sizeof(float));
  const auto echo = ray::Actor(Echo::Create).Remote();
  auto snapshot = server.Get();
  constexpr int kInARow = 100;
  const auto in_a_row = [](const auto& once) {
    return [&once] {
      for (int i = 0; i < kInARow; ++i) once();
    };
  };
  const auto get_once = [&] { snapshot = server.Get(); };
  const auto call_once = [&] { echo.Task(&Echo::Same).Remote(1).Get(); };
  const auto [gets, calls] = InTurn(60, in_a_row(get_once), in_a_row(call_once));
  const double call = Percentile(calls, 50) * 1e6 / kInARow;
  Figure get = TimeFigure("get, " + SizeText(bytes), gets, 1e6 / kInARow, "us", "a call of an actor", call);
  get.promise = Promise{Of::kMedian, Side::kAtMost, 4};
  figures.push_back(get);
  const auto same_once = [&] { server.GetIfNewer(snapshot); };
  const auto [same, more_calls] = InTurn(60, in_a_row(same_once), in_a_row(call_once));
  Figure unchanged = TimeFigure("get if newer, the same, " + SizeText(bytes), same, 1e6 / kInARow, "us",
                                "a call of an actor", Percentile(more_calls, 50) * 1e6 / kInARow);
  unchanged.promise = Promise{Of::kMedian, Side::kAtMost, 0.15};
  figures.push_back(unchanged);
}

// Get, fill a gradient, update: beside the same two loops over memory of one process.
void AddWorkerLoop(std::vector<Figure>& figures, size_t bytes, size_t shards) {
  const size_t count = bytes / sizeof(float);
  const auto server = FloatServer::Create(count, {.shards = shards, .optimizer = ps::Sgd{.rate = 0.1}});
  std::vector<float> parameters(count, 1), gradient(count, 1), next(count, 1);
  float value = 1;
  const auto [rounds, plain] = InTurn(
      15,
      [&] {
        const auto snapshot = server.Get();
        auto filled = server.NewGradient(snapshot);
        filled.Fill(value);
        server.Update(std::move(filled));
      },
      [&] {
        std::fill(gradient.begin(), gradient.end(), value);
        ThreeStreams(parameters.data(), gradient.data(), next.data(), count);
        value += 1;
      });
  Figure figure = TimeFigure("loop of a worker, " + SizeText(bytes) + ", " + std::to_string(shards) + " shards", rounds,
                             1e3, "ms", "the same loops in one process", Percentile(plain, 50) * 1e3);
  figure.promise = Promise{Of::kRatio, Side::kAtMost, 1 / 0.7};
  figures.push_back(figure);
}

// Rounds of workers of which one may be slow. Returns the seconds of each round of this worker.
std::vector<double> Rounds(const FloatServer& server, uint64_t rank, int rounds, int work_ms) {
  auto worker = server.Worker(rank);
  std::vector<double> seconds;
  double start = NowSeconds();
  for (int round = 0; round < rounds; ++round) {
    worker.Get();
    if (round > 0) seconds.push_back(NowSeconds() - start);
    start = NowSeconds();
    auto gradient = worker.NewGradient();
    gradient.Fill(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(work_ms));
    worker.Update(std::move(gradient));
  }
  return seconds;
}
RAY_REMOTE(Rounds);

// Two workers of 2 ms a round, alone and beside one of 20 ms under FirstOf{2, 1}.
void AddStraggler(std::vector<Figure>& figures) {
  constexpr int kRounds = 150;
  const auto run = [&](const ps::Policy& policy, bool straggler) {
    const auto server = FloatServer::Create(10'000, {.shards = 2, .policy = policy});
    std::vector<ray::ObjectRef<std::vector<double>>> working;
    for (uint64_t rank = 0; rank < 2; ++rank) working.push_back(ray::Task(Rounds).Remote(server, rank, kRounds, 2));
    if (straggler) working.push_back(ray::Task(Rounds).Remote(server, uint64_t{2}, kRounds / 12, 20));
    return *ray::Get(working)[0];
  };
  run(ps::Synchronous{2}, false);  // the workers have started
  const auto healthy = run(ps::Synchronous{2}, false);
  const auto beside = run(ps::FirstOf{.workers = 2, .backups = 1}, true);
  Figure figure =
      TimeFigure("round beside a slow worker", beside, 1e3, "ms", "the same without it", Percentile(healthy, 50) * 1e3);
  figure.promise = Promise{Of::kRatio, Side::kAtMost, 1.1};
  figures.push_back(figure);
}

// Three workers, 1,000,000 doubles, momentum.
double FillRounds(const ps::Parameters<double>& server, uint64_t rank, int rounds) {
  auto worker = server.Worker(rank);
  worker.Get();
  const double start = NowSeconds();
  for (int round = 0; round < rounds; ++round) {
    auto gradient = worker.NewGradient();
    gradient.Fill(1);
    worker.Update(std::move(gradient));
    worker.Get();
  }
  return (NowSeconds() - start) / rounds;
}
RAY_REMOTE(FillRounds);

void AddRounds(std::vector<Figure>& figures) {
  constexpr size_t kCount = 1'000'000;
  const auto server = ps::Parameters<double>::Create(
      kCount,
      {.shards = 2, .optimizer = ps::Sgd{.rate = 0.1, .momentum = 0.9}, .policy = ps::Synchronous{.workers = 3}});
  std::vector<double> rounds, plain;
  std::vector<std::vector<double>> memory(6, std::vector<double>(kCount, 1));
  for (int i = 0; i < 5; ++i) {
    std::vector<ray::ObjectRef<double>> working;
    for (uint64_t rank = 0; rank < 3; ++rank) working.push_back(ray::Task(FillRounds).Remote(server, rank, 40));
    rounds.push_back(*ray::Get(working)[0]);
    const double start = NowSeconds();
    for (int k = 0; k < 3; ++k)
      std::fill(memory[static_cast<size_t>(k)].begin(), memory[static_cast<size_t>(k)].end(), 1);
    for (size_t j = 0; j < kCount; ++j) {
      memory[3][j] = 0.9 * memory[3][j] + memory[0][j] + memory[1][j] + memory[2][j];
      memory[5][j] = memory[4][j] - 0.1 * memory[3][j];
    }
    plain.push_back(NowSeconds() - start);
  }
  figures.push_back(TimeFigure("round of 3 workers, 8 MB, momentum", rounds, 1e3, "ms", "the same loops in one process",
                               Percentile(plain, 50) * 1e3));
}

#ifdef RAYLET_HAVE_ZMQ
// A gradient there, the parameters back, both filled and read by one worker.
void AddBesideZmq(std::vector<Figure>& figures, ZmqServer& zmq, size_t count) {
  const auto server = FloatServer::Create(count, {.optimizer = ps::Sgd{.rate = 0.1}});
  float sum = 0;
  const auto [ours, control] = InTurn(
      15,
      [&] {
        auto gradient = server.NewGradient();
        gradient.Fill(1);
        server.Update(std::move(gradient));
        sum += server.Get()[0];
      },
      [&] { sum -= zmq.PushAndPull(1); });
  if (sum > 0.1F || sum < -0.1F) throw std::runtime_error("the two servers have other parameters");
  Figure figure = TimeFigure("push and pull, " + SizeText(count * sizeof(float)), ours, 1e3, "ms",
                             "ZeroMQ's request and reply", Percentile(control, 50) * 1e3);
  figure.promise = Promise{Of::kRatio, Side::kAtMost, 0.2};
  figures.push_back(figure);
}
#endif

int Run(const BenchFlags& flags) {
  const bool brief = !flags.only.empty();
  const size_t large = (brief ? size_t{16} : size_t{100}) << 20;
  std::vector<Figure> figures;
  for (const size_t bytes : {size_t{4} << 10, size_t{1} << 20, size_t{40} << 20, size_t{100} << 20, size_t{1} << 30})
    if (!brief || bytes <= size_t{40} << 20) AddUpdates(figures, bytes);
  AddQueuedUpdates(figures, large);
#ifdef RAYLET_HAVE_ZMQ
  const size_t compared = brief ? 1'000'000 : 10'000'000;
  ZmqServer zmq(compared);  // before there are threads
#endif
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "4", "--object-store-memory", brief ? "1G" : "5G"};
  ray::Init(config);
  AddGets(figures, size_t{1} << 10);
  AddGets(figures, brief ? size_t{16} << 20 : size_t{1} << 30);
  for (const size_t shards : {size_t{1}, size_t{2}, size_t{4}, size_t{8}})
    if (!brief || shards <= 2) AddWorkerLoop(figures, large, shards);
  AddStraggler(figures);
  AddRounds(figures);
  AddSparse(figures, brief ? 100'000 : 10'000'000);
#ifdef RAYLET_HAVE_ZMQ
  AddBesideZmq(figures, zmq, compared);
#endif
  ray::Shutdown();
  AddCompressed(figures, brief);
  return Report(flags, figures);
}

}  // namespace
}  // namespace raylet::bench

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  int exit_code = 0;
  const auto flags = raylet::bench::ReadFlags(
      argc, argv, "ps_bench: what parameter servers cost, with daemons of its own.", exit_code, {"--brief"});
  return flags ? raylet::bench::Run(*flags) : exit_code;
}
