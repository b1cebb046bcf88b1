// Trains a classifier on Fashion-MNIST with sharded parameter-server actors and worker tasks, each in a
// process of its own. Images, parameters and gradients stay in shared memory; messages carry ids.
//
// Synchronous: in every step each rank computes the gradient of its part of the batch, and every server
// applies them in rank order. The result is bit for bit that of one process (--compare shows it).
// Asynchronous: each worker goes through an epoch at its own pace, and the servers apply what comes.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <ray/api.h>

#include "fashion_mnist/flags.h"
#include "fashion_mnist/policies.h"
#include "fashion_mnist/progress.h"
#include "fashion_mnist/training.h"
#include "parts/program.h"

using Parameters = ray::Array<float>;

// The settings of a run, which every process needs.
struct Job {
  int model = 1;  // fashion::ModelKind
  uint64_t epochs = 0, batch = 0, workers = 0, shards = 0, seed = 0;
  float rate = 0, momentum = 0;
  ray::Array<uint8_t> pixels, labels;
  MSGPACK_DEFINE(model, epochs, batch, workers, shards, seed, rate, momentum, pixels, labels)

  fashion::ModelKind kind() const { return static_cast<fashion::ModelKind>(model); }
  fashion::TrainOptions options() const {
    fashion::TrainOptions o;
    o.model = kind();
    o.epochs = epochs;
    o.batch = batch;
    o.workers = workers;
    o.shards = shards;
    o.rate = rate;
    o.momentum = momentum;
    o.seed = seed;
    return o;
  }
};

struct Server {
  static Server* Create(const Parameters& initial, float momentum) {
    return new Server{initial, fashion::Sgd(initial.size(), momentum)};
  }
  Parameters Get() const { return params; }
  uint64_t Updates() const { return updates; }
  Parameters Apply(const std::vector<Parameters>& gradients, float rate) {
    ray::MutableArray<float> next(params.size());
    std::vector<std::span<const float>> in_rank_order;
    for (const Parameters& gradient : gradients) in_rank_order.push_back(gradient.span());
    sgd.Apply(params.span(), in_rank_order, rate, next.span());
    params = std::move(next).Seal();
    ++updates;
    return params;
  }
  Parameters params;
  fashion::Sgd sgd;
  uint64_t updates = 0;
};
using ServerHandle = ray::ActorHandle<Server>;

// A worker process's scratch memory; made by its first task, used by one task at a time.
struct Worker {
  explicit Worker(const Job& job)
      : model(job.kind()),
        plan(job.labels.size(), job.options()),
        flat(model.parameter_count()),
        gradient(flat.size()) {}

  std::vector<Parameters> Gradient(const Job& job, size_t rank, size_t epoch, size_t step,
                                   const std::vector<Parameters>& shards) {
    std::vector<std::span<const float>> pieces;
    for (const Parameters& shard : shards) pieces.push_back(shard.span());
    fashion::Concatenate(pieces, flat);
    fashion::Load({job.pixels.span(), job.labels.span()}, plan.SubBatch(epoch, step, rank), batch);
    model.Gradient(flat, batch, 1.0F / static_cast<float>(plan.BatchSize(step)), gradient);
    std::vector<Parameters> out;
    for (size_t i = 0; i < shards.size(); ++i) {
      const fashion::Piece piece = fashion::ShardOf(flat.size(), shards.size(), i);
      out.push_back(Parameters::CopyOf(std::span<const float>(gradient).subspan(piece.offset, piece.size)));
    }
    return out;
  }

  fashion::Model model;
  fashion::BatchPlan plan;
  fashion::Batch batch;
  std::vector<float> flat, gradient;
};
Worker& WorkerOf(const Job& job) {
  static Worker worker(job);
  return worker;
}

std::vector<Parameters> ComputeGradient(const Job& job, uint64_t rank, uint64_t epoch, uint64_t step,
                                        const std::vector<Parameters>& shards) {
  return WorkerOf(job).Gradient(job, rank, epoch, step, shards);
}

// One epoch at this worker's own pace; returns how many calls it made.
uint64_t WorkEpoch(const Job& job, uint64_t rank, uint64_t epoch, const std::vector<ServerHandle>& servers) {
  Worker& worker = WorkerOf(job);
  const size_t steps = worker.plan.steps_per_epoch();
  std::vector<Parameters> shards;
  for (const ServerHandle& server : servers) shards.push_back(*server.Task(&Server::Get).Remote().Get());
  for (size_t step = 0; step < steps; ++step) {
    const float rate = fashion::RateAt(job.options(), epoch * steps + step, job.epochs * steps);
    const std::vector<Parameters> gradient = worker.Gradient(job, rank, epoch, step, shards);
    std::vector<ray::ObjectRef<Parameters>> next;
    for (size_t i = 0; i < servers.size(); ++i)
      next.push_back(servers[i].Task(&Server::Apply).Remote(std::vector<Parameters>{gradient[i]}, rate));
    for (size_t i = 0; i < servers.size(); ++i) shards[i] = *next[i].Get();
  }
  return servers.size() * (steps + 1);
}
RAY_REMOTE(Server::Create, &Server::Get, &Server::Updates, &Server::Apply, ComputeGradient, WorkEpoch);

template <class... Values>
std::string Text(const char* format, const Values&... values) {
  char text[128];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

int Train(const fashion::Flags& flags, const fashion::Dataset& train, const fashion::Dataset& test,
          fashion::Progress& progress) {
  fashion::Model model(flags.train.model);
  Job job;
  job.model = static_cast<int>(flags.train.model);
  job.epochs = flags.train.epochs;
  job.batch = flags.train.batch;
  job.workers = flags.train.workers;
  job.shards = flags.train.shards;
  job.seed = flags.train.seed;
  job.rate = flags.train.rate;
  job.momentum = flags.train.momentum;
  job.pixels = ray::Array<uint8_t>::CopyOf(train.view().pixels);
  job.labels = ray::Array<uint8_t>::CopyOf(train.view().labels);

  const std::vector<float> initial = model.InitialParameters(job.seed);
  std::vector<ServerHandle> servers;
  std::vector<Parameters> shards;
  for (size_t i = 0; i < job.shards; ++i) {
    const fashion::Piece piece = fashion::ShardOf(initial.size(), job.shards, i);
    shards.push_back(Parameters::CopyOf(std::span<const float>(initial).subspan(piece.offset, piece.size)));
    auto server = ray::Actor(Server::Create);
    if (flags.server_cpus > 0) server.SetResource("CPU", static_cast<double>(flags.server_cpus));
    servers.push_back(server.Remote(shards.back(), job.momentum));
  }
  const size_t steps = fashion::BatchPlan(train.view().count(), flags.train).steps_per_epoch();
  std::vector<float> flat(initial.size());
  uint64_t calls = 0;
  double accuracy = 0;
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  for (size_t epoch = 0; epoch < job.epochs; ++epoch) {
    progress.BeginEpoch(epoch, job.epochs, steps, job.batch);
    if (flags.synchronous) {
      for (size_t step = 0; step < steps; ++step) {
        std::vector<ray::ObjectRef<std::vector<Parameters>>> computing;
        for (uint64_t rank = 0; rank < job.workers; ++rank)
          computing.push_back(ray::Task(ComputeGradient).Remote(job, rank, uint64_t{epoch}, uint64_t{step}, shards));
        const auto gradients = ray::Get(computing);
        const float rate = fashion::RateAt(flags.train, epoch * steps + step, job.epochs * steps);
        std::vector<ray::ObjectRef<Parameters>> next;
        for (size_t i = 0; i < servers.size(); ++i) {
          std::vector<Parameters> in_rank_order;
          for (const auto& gradient : gradients) in_rank_order.push_back((*gradient)[i]);
          next.push_back(servers[i].Task(&Server::Apply).Remote(in_rank_order, rate));
        }
        for (size_t i = 0; i < servers.size(); ++i) shards[i] = *next[i].Get();
        calls += job.workers + servers.size();
        progress.Show(step + 1);
      }
    } else {
      std::vector<ray::ObjectRef<uint64_t>> working;
      for (uint64_t rank = 0; rank < job.workers; ++rank)
        working.push_back(ray::Task(WorkEpoch).Remote(job, rank, uint64_t{epoch}, servers));
      // The servers know how far the workers are: every worker updates each of them once a step.
      while (progress.live() && !ray::Wait(working, static_cast<int>(working.size()), 200).unready.empty())
        progress.Show(*servers[0].Task(&Server::Updates).Remote().Get() / job.workers - epoch * steps);
      for (const auto& made : ray::Get(working)) calls += *made + 1;
      for (size_t i = 0; i < servers.size(); ++i) shards[i] = *servers[i].Task(&Server::Get).Remote().Get();
    }
    std::vector<std::span<const float>> pieces;
    for (const Parameters& shard : shards) pieces.push_back(shard.span());
    fashion::Concatenate(pieces, flat);
    accuracy = static_cast<double>(model.CountCorrect(flat, test.view())) / static_cast<double>(test.view().count());
    progress.Print(
        Text("epoch %zu/%zu  %.1f s  test accuracy %.4f", epoch + 1, size_t{job.epochs}, seconds(), accuracy));
  }
  progress.PrintResult(Text("calls per second %.0f", static_cast<double>(calls) / seconds()));
  if (flags.compare) {
    const fashion::TrainResult alone = fashion::TrainInOneProcess(flags.train, train.view(), test.view());
    const bool equal = std::memcmp(alone.parameters.data(), flat.data(), flat.size() * sizeof(float)) == 0;
    progress.Print(Text("parameters %s those of a single process bit for bit", equal ? "equal" : "DIFFER from"));
    if (!equal) return 1;
  }
  progress.PrintResult(Text("test accuracy %.4f", accuracy));
  return 0;
}

int main(int argc, char** argv) {
  fashion::Flags flags;
  try {
    flags = fashion::ParseFlags({argv + 1, argv + argc});
  } catch (const fashion::UsageError& e) {
    std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    return 2;
  }
  if (flags.help) {
    std::fputs(fashion::HelpText().c_str(), stdout);
    return 0;
  }
  try {
    if (example::InWorker()) ray::Init();  // does not return
    const bool live = flags.progress == fashion::ProgressMode::kAlways ||
                      (flags.progress == fashion::ProgressMode::kAuto && fashion::CanRedraw(stdout));
    fashion::Progress progress(stdout, live, flags.log, flags.results);
    const fashion::Dataset train = fashion::ReadTrainingSet(flags.data);
    const fashion::Dataset test = fashion::ReadTestSet(flags.data);
    ray::RayConfig config;
    config.address = flags.address;
    ray::Init(config);
    const bool by_policy = flags.by_policy.policy != fashion::PolicyKind::kNone;
    const int code =
        by_policy ? fashion::TrainByPolicy(flags, train, test, progress) : Train(flags, train, test, progress);
    ray::Shutdown();
    return code;
  } catch (const ray::internal::RayNotRunningException& e) {
    std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    return 3;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    return 1;
  }
}
