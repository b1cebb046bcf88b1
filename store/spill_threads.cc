#include "store/spill_threads.h"

#include <unistd.h>

#include <utility>

#include "base/process_start.h"
#include "store/spill_io.h"

namespace raylet::store {

WorkThread::WorkThread() {
  const SignalsBlocked blocked;  // signals belong to the loop's thread
  thread_ = std::thread([this] { Run(); });
}

WorkThread::~WorkThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void WorkThread::Add(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkThread::Run() {
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

void SpillThreads::Write(uint64_t file, std::vector<Part> parts) {
  writer_.Add([this, file, parts = std::move(parts)] {
    auto bytes = WriteSpillFile(folder_.PathOf(file), file, parts, arena_);
    Tell([file, bytes = std::move(bytes)](Handler& handler) { handler.OnWritten(file, bytes); });
  });
}

void SpillThreads::Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file) {
  writer_.Add([this, from, rows = std::move(rows), file] {
    auto bytes = CopySpillFile(folder_.PathOf(from), from, rows, folder_.PathOf(file), file);
    Tell([file, bytes = std::move(bytes)](Handler& handler) { handler.OnWritten(file, bytes); });
  });
}

void SpillThreads::Read(uint64_t read, const DiskPlace& place, const Part& into) {
  reader_.Add([this, read, place, into] {
    auto outcome = ReadSpilledObject(folder_.PathOf(place.file), place, into, arena_);
    Tell([read, outcome = std::move(outcome)](Handler& handler) { handler.OnRead(read, outcome); });
  });
}

void SpillThreads::Remove(uint64_t file) {
  writer_.Add([path = folder_.PathOf(file)] { ::unlink(path.c_str()); });
}

}  // namespace raylet::store
