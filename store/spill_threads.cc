#include "store/spill_threads.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/process_start.h"
#include "store/spill_io.h"

namespace raylet::store {

WorkThreads::WorkThreads(size_t count) {
  const SignalsBlocked blocked;  // signals belong to the loop's thread
  for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { Run(); });
}

WorkThreads::~WorkThreads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkThreads::Add(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkThreads::Run() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !work_.empty(); });
      if (stop_) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

SpillThreads::SpillThreads(Loop& loop, const SpillFolder& folder, std::byte* arena)
    : loop_(loop), folder_(folder), arena_(arena) {}

void SpillThreads::Tell(std::function<void(Handler&)> tell) const {
  loop_.Post([answers = answers_, tell = std::move(tell)] {
    if (answers->handler != nullptr) tell(*answers->handler);
  });
}

// Where the rename fails, the file is made anew, and says why if it cannot be.
void SpillThreads::Replace(const std::vector<uint64_t>& replaced, const std::string& path) const {
  for (size_t i = 1; i < replaced.size(); ++i) ::unlink(folder_.PathOf(replaced[i]).c_str());
  if (!replaced.empty()) static_cast<void>(::rename(folder_.PathOf(replaced.front()).c_str(), path.c_str()));
}

void SpillThreads::Write(uint64_t file, std::vector<Part> parts, std::vector<uint64_t> replaced) {
  writers_.Add([this, file, parts = std::move(parts), replaced = std::move(replaced)] {
    Replace(replaced, folder_.PathOf(file));
    auto bytes = WriteSpillFile(folder_.PathOf(file), file, parts, arena_);
    Tell([file, bytes = std::move(bytes)](Handler& handler) { handler.OnWritten(file, bytes); });
  });
}

void SpillThreads::Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file, std::vector<uint64_t> replaced) {
  writers_.Add([this, from, rows = std::move(rows), file, replaced = std::move(replaced)] {
    Replace(replaced, folder_.PathOf(file));
    auto bytes = CopySpillFile(folder_.PathOf(from), from, rows, folder_.PathOf(file), file);
    Tell([file, bytes = std::move(bytes)](Handler& handler) { handler.OnWritten(file, bytes); });
  });
}

void SpillThreads::Read(uint64_t read, const DiskPlace& place, const Part& into) {
  readers_.Add([this, read, place, into] {
    auto outcome = ReadSpilledObject(folder_.PathOf(place.file), place, into, arena_);
    Tell([read, outcome = std::move(outcome)](Handler& handler) { handler.OnRead(read, outcome); });
  });
}

void SpillThreads::Remove(uint64_t file) {
  remover_.Add([path = folder_.PathOf(file)] { ::unlink(path.c_str()); });
}

}  // namespace raylet::store
