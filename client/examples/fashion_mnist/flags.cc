#include "fashion_mnist/flags.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <utility>

namespace fashion {
namespace {

// Each server and each worker is a process.
constexpr uint64_t kProcessesMax = 256;
constexpr uint64_t kEpochsMax = 1'000'000;
constexpr uint64_t kBatchMax = 60'000;  // as many images as there are
constexpr float kRateMax = 1000;
constexpr uint64_t kSlowMsMax = 60'000;

[[noreturn]] void Refuse(const std::string& flag, const std::string& value, const std::string& wanted) {
  throw UsageError(flag + " takes " + wanted + ", not '" + value + "'");
}

uint64_t Whole(const std::string& flag, const std::string& value, uint64_t min, uint64_t max) {
  const char* const end = value.data() + value.size();
  uint64_t number = 0;
  const auto [parsed, error] = std::from_chars(value.data(), end, number);  // takes no sign and no blank
  if (error != std::errc() || parsed != end || number < min || number > max)
    Refuse(flag, value, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return number;
}

float Real(const std::string& flag, const std::string& value, const std::string& wanted, bool (*fits)(float)) {
  const char* const end = value.data() + value.size();
  float number = 0;
  const auto [parsed, error] = std::from_chars(value.data(), end, number);
  // It reads "nan" and "inf" as well, which no learning rate is.
  if (error != std::errc() || parsed != end || !std::isfinite(number) || !fits(number)) Refuse(flag, value, wanted);
  return number;
}

template <class T>
T OneOf(const std::string& flag, const std::string& value, std::initializer_list<std::pair<const char*, T>> choices) {
  std::string wanted;
  for (const auto& [name, meaning] : choices) {
    if (value == name) return meaning;
    wanted += (wanted.empty() ? "" : " or ") + std::string(name);
  }
  Refuse(flag, value, wanted);
}

ModelKind ModelOf(const std::string& value) {
  return OneOf<ModelKind>("--model", value, {{"softmax", ModelKind::kSoftmax}, {"mlp", ModelKind::kMlp}});
}

// Whether the flag is one of a training through the library. Then it is set.
bool SetOfPolicy(PolicyFlags& flags, const std::string& flag, const std::string& value) {
  if (flag == "--policy") {
    flags.policy = OneOf<PolicyKind>(flag, value,
                                     {{"async", PolicyKind::kAsynchronous},
                                      {"sync", PolicyKind::kSynchronous},
                                      {"stale", PolicyKind::kStale},
                                      {"first", PolicyKind::kFirst},
                                      {"scaled", PolicyKind::kScaled}});
  } else if (flag == "--optimizer") {
    flags.optimizer = OneOf<OptimizerKind>(flag, value,
                                           {{"sgd", OptimizerKind::kSgd},
                                            {"momentum", OptimizerKind::kMomentum},
                                            {"nesterov", OptimizerKind::kNesterov},
                                            {"adagrad", OptimizerKind::kAdagrad},
                                            {"rmsprop", OptimizerKind::kRmsProp},
                                            {"adam", OptimizerKind::kAdam},
                                            {"adamw", OptimizerKind::kAdamW},
                                            {"ftrl", OptimizerKind::kFtrl}});
  } else if (flag == "--staleness") {
    flags.staleness = Whole(flag, value, 0, kEpochsMax);
  } else if (flag == "--backups") {
    flags.backups = Whole(flag, value, 1, kProcessesMax);
  } else if (flag == "--slow-worker") {
    flags.slow_ms = Whole(flag, value, 0, kSlowMsMax);
  } else if (flag == "--kill-shard") {
    flags.kill_at = Whole(flag, value, 1, kEpochsMax);
  } else if (flag == "--chart") {
    flags.chart = value;
  } else {
    return false;
  }
  return true;
}

void CheckPolicy(const Flags& flags, const std::string& first_flag) {
  if (flags.by_policy.policy == PolicyKind::kNone) {
    if (!first_flag.empty()) throw UsageError(first_flag + " goes with --policy alone");
    return;
  }
  if (flags.compare) throw UsageError("--compare goes with the example's own servers alone, without --policy");
  if (flags.by_policy.policy == PolicyKind::kFirst && flags.by_policy.backups >= flags.train.workers)
    throw UsageError(
        "--policy first waits for the workers without the backups: --backups takes less than --workers, "
        "which is " +
        std::to_string(flags.train.workers));
}

void Set(Flags& flags, const std::string& flag, const std::string& value) {
  if (flag == "--address") {
    flags.address = value;
  } else if (flag == "--data") {
    flags.data = value;
  } else if (flag == "--log") {
    flags.log = value;
  } else if (flag == "--results") {
    flags.results = value;
  } else if (flag == "--model") {
    ModelOf(value);  // ParseFlags has read it
  } else if (flag == "--mode") {
    flags.synchronous = OneOf<bool>(flag, value, {{"sync", true}, {"async", false}});
  } else if (flag == "--progress") {
    flags.progress = OneOf<ProgressMode>(
        flag, value,
        {{"auto", ProgressMode::kAuto}, {"always", ProgressMode::kAlways}, {"never", ProgressMode::kNever}});
  } else if (flag == "--shards") {
    flags.train.shards = Whole(flag, value, 1, kProcessesMax);
  } else if (flag == "--workers") {
    flags.train.workers = Whole(flag, value, 1, kProcessesMax);
  } else if (flag == "--server-cpus") {
    flags.server_cpus = Whole(flag, value, 0, kProcessesMax);
  } else if (flag == "--epochs") {
    flags.train.epochs = Whole(flag, value, 1, kEpochsMax);
  } else if (flag == "--batch") {
    flags.train.batch = Whole(flag, value, 1, kBatchMax);
  } else if (flag == "--seed") {
    flags.train.seed = Whole(flag, value, 0, std::numeric_limits<uint64_t>::max());
  } else if (flag == "--rate") {
    flags.by_policy.rate_given = true;
    flags.train.rate =
        Real(flag, value, "a number above 0, at most 1000", [](float rate) { return rate > 0 && rate <= kRateMax; });
  } else if (flag == "--momentum") {
    flags.train.momentum =
        Real(flag, value, "a number from 0 to below 1", [](float momentum) { return momentum >= 0 && momentum < 1; });
  } else {
    throw UsageError("there is no option '" + flag + "'; --help lists those there are");
  }
}

}  // namespace

Flags ParseFlags(const std::vector<std::string>& arguments) {
  Flags flags;
  std::string of_policy;  // the first flag that goes with --policy
  // Reads the model first, wherever it stands, because it sets the other defaults.
  for (size_t i = 0; i + 1 < arguments.size(); ++i)
    if (arguments[i] == "--model") flags.train = DefaultsFor(ModelOf(arguments[i + 1]));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& flag = arguments[i];
    if (flag == "--help" || flag == "-h") {
      flags.help = true;
    } else if (flag == "--compare") {
      flags.compare = true;
    } else if (i + 1 == arguments.size()) {
      throw UsageError("'" + flag + "' stands without a value, or is no option; --help lists those there are");
    } else if (SetOfPolicy(flags.by_policy, flag, arguments[i + 1])) {
      if (of_policy.empty() && flag != "--policy") of_policy = flag;
      ++i;
    } else {
      Set(flags, flag, arguments[++i]);
    }
  }
  CheckPolicy(flags, of_policy);
  if (flags.compare && !flags.synchronous)
    throw UsageError(
        "--compare goes with --mode sync alone: what workers at their own pace compute is never the same twice");
  return flags;
}

std::string HelpText() {
  return std::string(
             "fashion_mnist trains on Fashion-MNIST through parameter-server actors and worker tasks.\n"
             "  --address ADDRESS     a raylet's socket, or host:port of any raylet of a cluster that has one on this\n"
             "                        machine; without it, daemons of its own\n"
             "  --model softmax|mlp   (mlp)\n"
             "  --mode sync|async     (sync) every step in rank order, or every worker at its own pace\n"
             "  --shards N            servers that the parameters are split over (2)\n"
             "  --workers N           tasks that each batch is split over (2)\n"
             "  --server-cpus N       CPUs that each server asks for; on a cluster 1 spreads them over machines (0)\n"
             "  --epochs N            (softmax 10, mlp 20)\n"
             "  --batch N             images of a step (120)\n"
             "  --rate R              of the first step; falls to zero in a straight line (0.1)\n"
             "  --momentum M          (0)\n"
             "  --seed N              (1)\n"
             "  --data FOLDER         with the four gzipped IDX files of Debian's dataset-fashion-mnist\n"
             "                        (") +
         kDefaultFolder +
         ")\n"
         "  --policy async|sync|stale|first|scaled\n"
         "                        trains through <ray/parameter_server.h>; --mode and --compare do not go with it\n"
         "  --optimizer sgd|momentum|nesterov|adagrad|rmsprop|adam|adamw|ftrl\n"
         "                        (sgd) each with a rate of its own; --rate is another one\n"
         "  --staleness N         updates that a worker may be ahead under --policy stale (3)\n"
         "  --backups N           of the workers, for whom no round waits under --policy first (1)\n"
         "  --slow-worker MS      that the first worker sleeps in each step (0)\n"
         "  --kill-shard STEP     kills a shard after this step; it comes back from its checkpoint\n"
         "  --chart FILE          writes accuracy, loss and staleness to FILE.csv, FILE.svg, FILE-2.svg and "
         "FILE-3.svg\n"
         "  --compare             also train in one process and compare the parameters' bytes\n"
         "  --progress auto|always|never\n"
         "                        a line that follows the steps of each epoch (auto: on a terminal)\n"
         "  --log FILE            write the plain lines there, too\n"
         "  --results FILE        write the figures of the end there, and not to the output\n"
         "Exit codes: 0 fine, 1 failed, 2 usage, 3 no raylet serves that address.\n";
}

}  // namespace fashion
