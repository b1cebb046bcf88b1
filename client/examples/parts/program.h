// The frame of an example: its options, Init and Shutdown, what it prints, and its exit codes. An example describes its
// options with their defaults, and has a function that runs between Init and Shutdown.
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

// Lines for the user, which go to the output and to a log.
class Output {
 public:
  explicit Output(const std::string& log);  // an empty name: no log
  [[gnu::format(printf, 2, 3)]] void Print(const char* format, ...);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> log_;
};

struct Program {
  std::string name;
  std::string summary;
  std::vector<Option> options;  // beside --address, --log and --chart, which each example has
  std::function<void(const Options&, Output&)> run;
};

// The exit code: 0 fine, 1 failed, 2 usage, 3 no raylet serves the address. Does not return in a worker.
int RunProgram(Program program, int argc, char** argv);

// Seconds since the first call of the process.
double Seconds();

}  // namespace example
