// The frame of an example: its options, Init and Shutdown, what it prints, and its exit codes. An example describes its
// options with their defaults. It reads its input before Init, so that a mistake starts no daemon, and works between
// Init and Shutdown.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace example {

struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct Option {
  std::string name;  // such as --epochs
  std::string value;
  std::string help;
};

// The values of a program's options. Each method throws UsageError for a value that does not fit.
class Options {
 public:
  // `arguments`: names and values in turn. Throws UsageError for a name that `known` does not have.
  Options(const std::vector<Option>& known, const std::vector<std::string>& arguments);

  const std::string& Text(const std::string& name) const { return values_.at(name); }
  uint64_t Whole(const std::string& name, uint64_t min, uint64_t max) const;
  double Real(const std::string& name, double min, double max) const;

 private:
  std::map<std::string, std::string> values_;
};

// Whether this process is a worker. There Init comes first, and does not return.
bool InWorker();

// Lines for the user, which go to the output and to a log.
class Output {
 public:
  // An empty name: no log; the results go where the other lines go.
  Output(const std::string& log, const std::string& results);
  [[gnu::format(printf, 2, 3)]] void Print(const char* format, ...);
  // The figures at the end, which a script may want to have apart.
  [[gnu::format(printf, 2, 3)]] void PrintResult(const char* format, ...);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  static File Open(const char* what, const std::string& name);

  File log_, results_;
};

using Work = std::function<void(Output&)>;

struct Program {
  std::string name;
  std::string summary;
  std::vector<Option> options;  // beside --address, --log and --results, which each example has
  // Checks the options and reads the input. Returns the work between Init and Shutdown.
  std::function<Work(const Options&)> prepare;
};
extern const Option kChart;  // of the examples that draw

// The exit code: 0 fine, 1 failed, 2 usage, 3 no raylet serves the address. Does not return in a worker. Init gets the
// arguments that begin with --ray_.
int RunProgram(Program program, int argc, char** argv);

// Seconds since the first call of the process.
double Seconds();

}  // namespace example
