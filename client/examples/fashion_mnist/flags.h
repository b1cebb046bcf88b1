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

enum class ProgressMode { kAuto, kAlways, kNever };

struct Flags {
  std::string address;  // of a raylet; empty: private daemons
  std::string data = kDefaultFolder;
  std::string log;           // where the plain lines go as well; empty: nowhere
  uint64_t server_cpus = 0;  // that each server asks for
  TrainOptions train = DefaultsFor(ModelKind::kMlp);
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
