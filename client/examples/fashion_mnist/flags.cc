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

void Set(Flags& flags, const std::string& flag, const std::string& value) {
  if (flag == "--address") {
    flags.address = value;
  } else if (flag == "--data") {
    flags.data = value;
  } else if (flag == "--log") {
    flags.log = value;
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
    } else {
      Set(flags, flag, arguments[++i]);
    }
  }
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
         "  --compare             also train in one process and compare the parameters' bytes\n"
         "  --progress auto|always|never\n"
         "                        a line that follows the steps of each epoch (auto: on a terminal)\n"
         "  --log FILE            write the plain lines there, too\n"
         "Exit codes: 0 fine, 1 failed, 2 usage, 3 no raylet serves that address.\n";
}

}  // namespace fashion
