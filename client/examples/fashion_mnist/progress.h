// Progress: the output of a training while it runs. Plain lines, one per epoch, go to the output and to a log. If the
// output is a terminal, one more line is redrawn at its bottom between them. The results may go to a file instead of
// the output. One thread at a time.
// Always holds: a log, and an output without a watcher, get whole lines only, without a control character.
#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

namespace fashion {

// Whether this is a terminal that can erase a line.
bool CanRedraw(std::FILE* out);

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // Throws std::runtime_error where a file cannot be written. An empty name: no log; the results go to the output.
  Progress(std::FILE* out, bool live, const std::string& log, const std::string& results);
  ~Progress() { Erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool live() const { return live_; }

  void BeginEpoch(size_t epoch, size_t epochs, size_t steps, size_t images_per_step);
  // Draws at most ten times a second, and only on a terminal.
  void Show(size_t steps_done);
  void Print(const std::string& line);
  void PrintResult(const std::string& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  static File Open(const char* what, const std::string& name);
  static void PrintTo(std::FILE* file, const std::string& line);
  void Erase();

  std::FILE* const out_;
  const bool live_;
  File log_, results_;
  size_t epoch_ = 0, epochs_ = 0, steps_ = 0, images_per_step_ = 0;
  Clock::time_point epoch_started_, next_draw_;
  bool drawn_ = false;  // a line stands at the cursor
};

}  // namespace fashion
