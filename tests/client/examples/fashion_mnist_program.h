// TrainingRun: the program fashion_mnist, run to its end, on its own daemons or on those of a test. Every process that
// it starts inherits a variable that names this run's folder, so that the test finds what is left.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/strings.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::test {

inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

class TrainingRun {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // Returns when the program has ended; after `patience` it is killed and counts as ended by a signal.
  explicit TrainingRun(std::vector<std::string> arguments, const std::string& program = "fashion_mnist",
                       const Environment& more = {}, Duration patience = std::chrono::seconds(140)) {
    ProcessOptions options;
    options.environment = more;  // of two variables with one name, the first counts
    options.environment.insert(options.environment.end(), {{"XDG_RUNTIME_DIR", folder_.path()}, {"RAY_ADDRESS", ""}});
    auto process = DaemonProcess::StartPlain(program, std::move(arguments), options);
    if (!process) {
      output_ = process.error().message;
      return;
    }
    if (const auto end = process->Wait(Deadline::After(patience))) end_ = *end;
    output_ = process->Output();
  }

  int exit_code() const { return end_.exit_code; }  // -1: it did not exit
  const std::string& output() const { return output_; }
  bool Says(const std::string& text) const { return output_.find(text) != std::string::npos; }

  // The number behind the last "test accuracy"; 0 where there is none.
  double accuracy() const {
    const std::string before = "\ntest accuracy ";
    const size_t at = output_.rfind(before);
    return at == std::string::npos ? 0 : std::strtod(output_.c_str() + at + before.size(), nullptr);
  }

  // What is left of the run: processes, sockets, folders. Workers end when they see that their driver has, which takes
  // a moment; an empty text once all are gone.
  std::string Left() const {
    std::string left;
    Eventually(std::chrono::seconds(30), [&] {
      left.clear();
      for (const pid_t pid : ProcessesWith(folder_.path())) left += StrCat("process ", pid, "\n");
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path()))
        left += StrCat(entry.path().string(), "\n");
      return left.empty();
    });
    return left;
  }

 private:
  RunFolder folder_;
  ProcessEnd end_;
  std::string output_;
};

}  // namespace raylet::test
