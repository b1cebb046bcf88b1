#include "fashion_mnist/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace fashion {
namespace {

constexpr std::chrono::milliseconds kRedrawPause{100};
constexpr size_t kBarCells = 20;
constexpr const char* kErase = "\r\033[K";  // to the line's beginning, and what stands behind it away

}  // namespace

bool CanRedraw(std::FILE* out) {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(::fileno(out)) == 1 && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

Progress::Progress(std::FILE* out, bool live, const std::string& log, const std::string& results)
    : out_(out), live_(live), log_(Open("log", log)), results_(Open("file of the results", results)) {}

Progress::File Progress::Open(const char* what, const std::string& name) {
  if (name.empty()) return nullptr;
  File file(std::fopen(name.c_str(), "we"));
  if (!file)
    throw std::runtime_error("the " + std::string(what) + " " + name + " cannot be written: " + std::strerror(errno));
  return file;
}

void Progress::BeginEpoch(size_t epoch, size_t epochs, size_t steps, size_t images_per_step) {
  epoch_ = epoch;
  epochs_ = epochs;
  steps_ = steps;
  images_per_step_ = images_per_step;
  epoch_started_ = Clock::now();
  next_draw_ = epoch_started_ + kRedrawPause;
}

void Progress::Show(size_t steps_done) {
  if (!live_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + kRedrawPause;
  const size_t done = std::min(steps_done, steps_);
  const size_t cells = done * kBarCells / steps_;
  const double seconds = std::chrono::duration<double>(now - epoch_started_).count();
  std::string bar(cells, '=');
  bar.resize(kBarCells, ' ');
  std::fprintf(out_, "%sepoch %zu/%zu  [%s]  step %zu/%zu  %.0f images/s", kErase, epoch_ + 1, epochs_, bar.c_str(),
               done, steps_, static_cast<double>(done * images_per_step_) / seconds);
  std::fflush(out_);
  drawn_ = true;
}

void Progress::PrintTo(std::FILE* file, const std::string& line) {
  if (file == nullptr) return;
  std::fprintf(file, "%s\n", line.c_str());
  std::fflush(file);
}

void Progress::Print(const std::string& line) {
  Erase();
  PrintTo(out_, line);
  PrintTo(log_.get(), line);
}

void Progress::PrintResult(const std::string& line) {
  Erase();
  PrintTo(results_ ? results_.get() : out_, line);
  PrintTo(log_.get(), line);
}

void Progress::Erase() {
  if (!drawn_) return;
  std::fputs(kErase, out_);
  std::fflush(out_);
  drawn_ = false;
}

}  // namespace fashion
