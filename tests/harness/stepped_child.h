// SteppedChild: a child of fork() that a test stops at any instruction of the test program's own code, by ptrace
// (x86-64). Owned by a test, and used by the thread that made it. Its destructor kills (-9) and reaps the child.
// A call into another library, such as libc, is one step as a whole, with its system calls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace raylet::test {

// Where a child can be stopped again: when it comes to `address` for the first time since the first mark, and so many
// steps later.
struct StepPlace {
  uintptr_t address = 0;
  uint64_t steps = 0;
};

class SteppedChild {
 public:
  // Runs `work` in a child, which ends with the exit code that `work` returns. It stands at its first Mark() when the
  // constructor returns. A child that ends before is a failure of the test, and `stopped()` is false.
  explicit SteppedChild(const std::function<int()>& work);
  ~SteppedChild();
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;

  // In the child: the steps begin after the first mark, and end at the second one.
  static void Mark();

  // The places of all steps between the two marks, in order. The child stands at its second mark then.
  std::vector<StepPlace> Places();
  // False where the child came to its second mark before: it stands there.
  bool RunTo(const StepPlace& place);

  bool stopped() const { return stopped_; }
  // Lets it go on to its end. Its exit code; nothing where a signal ended or stopped it.
  std::optional<int> GoOn();
  void Kill();  // SIGKILL, where it stands

 private:
  // One step; the address where the child stands then, or nothing at the second mark.
  std::optional<uintptr_t> Step();
  std::optional<uintptr_t> RunUntil(uintptr_t address);
  std::optional<uintptr_t> AwaitStop();

  pid_t pid_ = -1;
  bool stopped_ = false;
};

}  // namespace raylet::test
