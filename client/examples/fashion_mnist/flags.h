// The command line of the fashion_mnist program: text in, a checked Flags out. It prints nothing and ends nothing.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "fashion_mnist/training.h"

namespace fashion {

// The command line makes no sense. what() is a sentence that names the option and its valid values.
struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

enum class PolicyKind { kNone, kAsynchronous, kSynchronous, kStale, kFirst, kScaled };
enum class OptimizerKind { kSgd, kMomentum, kNesterov, kAdagrad, kRmsProp, kAdam, kAdamW, kFtrl };

// A training through the library of parameter servers.
struct PolicyFlags {
  PolicyKind policy = PolicyKind::kNone;  // kNone: the servers are those of the example itself
  OptimizerKind optimizer = OptimizerKind::kSgd;
  uint64_t staleness = 3;   // of kStale
  uint64_t backups = 1;     // of kFirst: workers for whom no round waits
  uint64_t slow_ms = 0;     // that the first worker sleeps in each step
  uint64_t kill_at = 0;     // the step after which a shard is killed; 0: never
  bool rate_given = false;  // otherwise each optimiser has its own
  std::string chart;        // where the pictures go; empty: nowhere
};

enum class ProgressMode { kAuto, kAlways, kNever };

struct Flags {
  std::string address;  // of a raylet; empty: private daemons
  std::string data = kDefaultFolder;
  std::string log;           // where the plain lines go as well; empty: nowhere
  std::string results;       // where the figures of the end go; empty: to the output
  uint64_t server_cpus = 0;  // that each server asks for
  TrainOptions train = DefaultsFor(ModelKind::kMlp);
  PolicyFlags by_policy;
  bool synchronous = true;
  bool compare = false;
  bool help = false;
  ProgressMode progress = ProgressMode::kAuto;
};

// The arguments without the program's name. Throws UsageError.
Flags ParseFlags(const std::vector<std::string>& arguments);

// The text of --help.
std::string HelpText();

}  // namespace fashion
