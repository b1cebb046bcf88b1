// Each worker loops over its own steps: Get the parameters as the policy says, compute the gradient of its share of the
// batch, Update. The driver looks on: it measures accuracy and loss against time, and kills a shard where it is asked.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ray/parameter_server.h>

#include "fashion_mnist/policies.h"
#include "fashion_mnist/training.h"
#include "parts/chart.h"

namespace ps = ray::ps;

// The settings of a run, which every worker needs.
struct PolicyJob {
  int model = 1;  // fashion::ModelKind
  uint64_t epochs = 0, batch = 0, workers = 0, seed = 0, slow_ms = 0;
  bool rounds = false;  // steps are the rounds of the server, and not the worker's own
  ray::Array<uint8_t> pixels, labels;
  ps::Parameters<float> server;
  MSGPACK_DEFINE(model, epochs, batch, workers, seed, slow_ms, rounds, pixels, labels, server)
};

void WorkByPolicy(const PolicyJob& job, uint64_t rank) {
  fashion::TrainOptions options;
  options.batch = job.batch;
  options.workers = job.workers;
  options.seed = job.seed;
  fashion::Model model(static_cast<fashion::ModelKind>(job.model));
  fashion::BatchPlan plan(job.labels.size(), options);
  fashion::Batch batch;
  std::vector<float> flat(model.parameter_count()), gradient(flat.size());
  const uint64_t steps = job.epochs * plan.steps_per_epoch();
  auto worker = job.server.Worker(rank);
  for (uint64_t own = 0;; ++own) {
    const auto parameters = worker.Get();
    const uint64_t step = job.rounds ? parameters.version() : own;
    if (step >= steps) return;
    const size_t epoch = step / plan.steps_per_epoch(), of_epoch = step % plan.steps_per_epoch();
    parameters.CopyTo(flat);
    fashion::Load({job.pixels.span(), job.labels.span()}, plan.SubBatch(epoch, of_epoch, rank), batch);
    model.Gradient(flat, batch, 1.0F / static_cast<float>(plan.BatchSize(of_epoch)), gradient);
    if (job.slow_ms > 0 && rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(job.slow_ms));
    auto filled = worker.NewGradient();
    filled.CopyFrom(gradient);
    worker.Update(std::move(filled));
  }
}
RAY_REMOTE(WorkByPolicy);

namespace fashion {
namespace {

ps::Policy PolicyOf(const Flags& flags) {
  const uint64_t workers = flags.train.workers;
  switch (flags.by_policy.policy) {
    case PolicyKind::kSynchronous: return ps::Synchronous{.workers = workers};
    case PolicyKind::kStale: return ps::Stale{.workers = workers, .staleness = flags.by_policy.staleness};
    case PolicyKind::kFirst:
      return ps::FirstOf{.workers = workers - flags.by_policy.backups, .backups = flags.by_policy.backups};
    case PolicyKind::kScaled: return ps::ScaledByStaleness{};
    default: return ps::Async{};
  }
}

// Rates at which this model trains well.
ps::Optimizer OptimizerOf(const Flags& flags) {
  const auto rate = [&](double usual) {
    return flags.by_policy.rate_given ? static_cast<double>(flags.train.rate) : usual;
  };
  switch (flags.by_policy.optimizer) {
    case OptimizerKind::kMomentum: return ps::Sgd{.rate = rate(0.02), .momentum = 0.9};
    case OptimizerKind::kNesterov: return ps::Sgd{.rate = rate(0.02), .momentum = 0.9, .nesterov = true};
    case OptimizerKind::kAdagrad: return ps::Adagrad{.rate = rate(0.01)};
    case OptimizerKind::kRmsProp: return ps::RmsProp{.rate = rate(5e-4)};
    case OptimizerKind::kAdam: return ps::Adam{.rate = rate(1e-3)};
    case OptimizerKind::kAdamW: return ps::AdamW{.rate = rate(1e-3)};
    case OptimizerKind::kFtrl: return ps::Ftrl{.alpha = rate(0.02)};
    default: return ps::Sgd{.rate = rate(0.1), .momentum = static_cast<double>(flags.train.momentum)};
  }
}

// A folder for checkpoints, which goes with it.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ("fashion_mnist." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path path;
};

template <class... Values>
std::string Text(const char* format, const Values&... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

// Accuracy and loss against time.
class Course {
 public:
  Course(const Flags& flags, const DatasetView& test)
      : model_(flags.train.model), test_(test), gradient_(model_.parameter_count()), flat_(gradient_.size()) {
    std::vector<uint32_t> all(test.count());
    std::iota(all.begin(), all.end(), 0);
    Load(test, all, batch_);
  }
  // Returns the accuracy.
  double Measure(double seconds, const ps::Snapshot<float>& parameters) {
    parameters.CopyTo(flat_);
    const auto images = static_cast<double>(test_.count());
    const double right = static_cast<double>(model_.CountCorrect(flat_, test_)) / images;
    accuracy.points.emplace_back(seconds, right);
    loss.points.emplace_back(seconds, model_.Gradient(flat_, batch_, 1, gradient_) / images);
    return right;
  }
  example::Line accuracy, loss;

 private:
  Model model_;
  const DatasetView test_;
  Batch batch_;
  std::vector<float> gradient_, flat_;
};

example::Line HistogramOf(const std::vector<ps::ShardStats>& stats) {
  example::Line line{"gradients of all shards", {}};
  size_t end = 0;  // behind the last count that is not zero
  std::vector<uint64_t> counts;
  for (const ps::ShardStats& shard : stats) {
    counts.resize(std::max(counts.size(), shard.staleness.size()));
    for (size_t i = 0; i < shard.staleness.size(); ++i) {
      counts[i] += shard.staleness[i];
      if (counts[i] > 0) end = std::max(end, i + 1);
    }
  }
  for (size_t i = 0; i < end; ++i) line.points.emplace_back(i, counts[i]);
  return line;
}

}  // namespace

int TrainByPolicy(const Flags& flags, const Dataset& train, const Dataset& test, Progress& progress) {
  constexpr size_t kMeasuredImages = 1000;  // while workers want the cores
  constexpr uint64_t kCheckpointSteps = 20;
  const PolicyFlags& by_policy = flags.by_policy;
  PolicyJob job;
  job.model = static_cast<int>(flags.train.model);
  job.epochs = flags.train.epochs;
  job.batch = flags.train.batch;
  job.workers = flags.train.workers;
  job.seed = flags.train.seed;
  job.slow_ms = by_policy.slow_ms;
  job.rounds = by_policy.policy == PolicyKind::kSynchronous || by_policy.policy == PolicyKind::kFirst;
  job.pixels = ray::Array<uint8_t>::CopyOf(train.view().pixels);
  job.labels = ray::Array<uint8_t>::CopyOf(train.view().labels);
  const uint64_t steps = BatchPlan(train.view().count(), flags.train).steps_per_epoch();
  const uint64_t versions_of_step = job.rounds ? 1 : job.workers;

  std::optional<Folder> folder;
  ps::Options options{.shards = flags.train.shards,
                      .optimizer = OptimizerOf(flags),
                      .policy = PolicyOf(flags),
                      .schedule = ps::Schedule::Cosine(job.epochs * steps * versions_of_step),
                      .round_deadline = std::chrono::seconds(2)};
  if (flags.server_cpus > 0) options.resources = {{"CPU", static_cast<double>(flags.server_cpus)}};
  if (by_policy.kill_at > 0) {
    folder.emplace();
    options.checkpoint = {.path = (folder->path / "shard").string(), .every = kCheckpointSteps};
  }
  job.server = ps::Parameters<float>::Create(Model(flags.train.model).InitialParameters(job.seed), options);

  Course course(flags, test.view().First(kMeasuredImages));
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  std::vector<ray::ObjectRef<void>> working;
  for (uint64_t rank = 0; rank < job.workers; ++rank) working.push_back(ray::Task(WorkByPolicy).Remote(job, rank));
  bool killed = by_policy.kill_at == 0;
  for (uint64_t epoch = 0, ended = 0; ended == 0;) {
    ended = ray::Wait(working, static_cast<int>(working.size()), 250).unready.empty();
    const auto parameters = job.server.Get();
    const double accuracy = course.Measure(seconds(), parameters);
    for (; epoch < job.epochs && parameters.version() >= (epoch + 1) * steps * versions_of_step; ++epoch)
      progress.Print(Text("epoch %zu/%zu  %.1f s  accuracy of %zu test images %.4f", size_t{epoch + 1},
                          size_t{job.epochs}, seconds(), kMeasuredImages, accuracy));
    if (!killed && parameters.version() >= by_policy.kill_at * versions_of_step) {
      const auto pid = static_cast<pid_t>(job.server.Stats()[0].pid);
      if (::kill(pid, SIGKILL) != 0) throw std::runtime_error("shard 0 is no process of this machine");
      progress.Print(Text("%.1f s  shard 0, process %d, was killed", seconds(), static_cast<int>(pid)));
      killed = true;
    }
  }
  ray::Get(working);  // throws what a worker threw
  const auto stats = job.server.Stats();
  uint64_t applied = 0, dropped = 0, lost = 0, restarts = 0;
  for (const ps::ShardStats& shard : stats) {
    applied += shard.applied;
    dropped += shard.dropped;
    lost += shard.updates_lost;
    restarts += shard.restarts;
  }
  progress.Print(Text("gradients of all shards: %zu applied, %zu dropped as late; restarts: %zu, steps lost: %zu",
                      size_t{applied}, size_t{dropped}, size_t{restarts}, size_t{lost}));
  if (!by_policy.chart.empty())
    example::WriteCharts(by_policy.chart, {{"Accuracy", "seconds", "share of test images", {course.accuracy}},
                                           {"Loss", "seconds", "mean loss of test images", {course.loss}},
                                           {"Staleness", "steps", "gradients", {HistogramOf(stats)}, true}});
  progress.PrintResult(Text("test accuracy %.4f", Course(flags, test.view()).Measure(seconds(), job.server.Get())));
  return 0;
}

}  // namespace fashion
