#include "parts/program.h"

#include <ray/api.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace example {
namespace {

std::string HelpOf(const Program& program) {
  std::string help = program.name + ": " + program.summary + "\n";
  for (const Option& option : program.options)
    help += "  " + option.name + std::string(option.name.size() < 14 ? 14 - option.name.size() : 1, ' ') + option.help +
            (option.value.empty() ? "" : " (" + option.value + ")") + "\n";
  return help +
         "  --ray_…       what ray::Init takes, such as --ray_local_mode=true\n"
         "Exit codes: 0 fine, 1 failed, 2 usage, 3 no raylet serves that address.\n";
}

void PrintTo(std::initializer_list<std::FILE*> files, const char* format, std::va_list values) {
  char text[1024];
  std::vsnprintf(text, sizeof text, format, values);
  for (std::FILE* const file : files) {
    if (file == nullptr) continue;
    std::fprintf(file, "%s\n", text);
    std::fflush(file);
  }
}

int Fail(const Program& program, const std::exception& e, int code) {
  std::fprintf(stderr, "%s: %s\n", program.name.c_str(), e.what());
  return code;
}

}  // namespace

Options::Options(const std::vector<Option>& known, const std::vector<std::string>& arguments) {
  for (const Option& option : known) values_[option.name] = option.value;
  for (size_t i = 0; i < arguments.size(); i += 2) {
    const auto found = values_.find(arguments[i]);
    if (found == values_.end())
      throw UsageError("there is no option '" + arguments[i] + "'; --help lists those there are");
    if (i + 1 == arguments.size()) throw UsageError("'" + arguments[i] + "' stands without a value");
    found->second = arguments[i + 1];
  }
}

uint64_t Options::Whole(const std::string& name, uint64_t min, uint64_t max) const {
  const std::string& text = values_.at(name);
  const char* const end = text.data() + text.size();
  uint64_t number = 0;
  const auto [parsed, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || parsed != end || number < min || number > max)
    throw UsageError(name + " takes a whole number from " + std::to_string(min) + " to " + std::to_string(max) +
                     ", not '" + text + "'");
  return number;
}

double Options::Real(const std::string& name, double min, double max) const {
  const std::string& text = values_.at(name);
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [parsed, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || parsed != end || !(number >= min && number <= max)) {
    char wanted[96];
    std::snprintf(wanted, sizeof wanted, " takes a number from %g to %g, not '", min, max);
    throw UsageError(name + wanted + text + "'");
  }
  return number;
}

bool InWorker() { return std::getenv("RAYLET_WORKER_TOKEN") != nullptr; }

Output::Output(const std::string& log, const std::string& results)
    : log_(Open("log", log)), results_(Open("file of the results", results)) {}

Output::File Output::Open(const char* what, const std::string& name) {
  if (name.empty()) return nullptr;
  File file(std::fopen(name.c_str(), "we"));
  if (!file)
    throw std::runtime_error("the " + std::string(what) + " " + name + " cannot be written: " + std::strerror(errno));
  return file;
}

void Output::Print(const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  PrintTo({stdout, log_.get()}, format, values);
  va_end(values);
}

void Output::PrintResult(const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  PrintTo({results_ ? results_.get() : stdout, log_.get()}, format, values);
  va_end(values);
}

const Option kChart{"--chart", "", "writes the pictures FILE.svg and their numbers FILE.csv"};

int RunProgram(Program program, int argc, char** argv) {
  program.options.push_back({"--address", "", "of a raylet; without it, daemons of its own"});
  program.options.push_back({"--log", "", "writes the lines there, too"});
  program.options.push_back({"--results", "", "writes the figures of the end there, and not to the output"});
  try {
    if (InWorker()) ray::Init();
    std::vector<std::string> arguments;
    std::vector<char*> of_init(argv, argv + std::min(argc, 1));
    for (int i = 1; i < argc; ++i)
      if (std::string_view(argv[i]).starts_with("--ray_"))
        of_init.push_back(argv[i]);
      else
        arguments.emplace_back(argv[i]);
    if (std::ranges::count(arguments, "--help") + std::ranges::count(arguments, "-h") > 0) {
      std::fputs(HelpOf(program).c_str(), stdout);
      return 0;
    }
    const Options options(program.options, arguments);
    Output output(options.Text("--log"), options.Text("--results"));
    const Work work = program.prepare(options);
    ray::RayConfig config;
    config.address = options.Text("--address");
    ray::Init(config, static_cast<int>(of_init.size()), of_init.data());
    Seconds();
    work(output);
    ray::Shutdown();
    return 0;
  } catch (const UsageError& e) {
    return Fail(program, e, 2);
  } catch (const ray::internal::RayNotRunningException& e) {
    return Fail(program, e, 3);
  } catch (const std::exception& e) {
    return Fail(program, e, 1);
  }
}

double Seconds() {
  static const auto start = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace example
