#include "tests/harness/stepped_child.h"

#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <unordered_set>

#include "base/check.h"

// The program's own code, as the linker names it.
extern "C" const char __executable_start[], etext[];  // NOLINT

namespace raylet::test {
namespace {

constexpr long kBreakpoint = 0xcc;

bool IsOwnCode(uintptr_t address) {
  return address >= reinterpret_cast<uintptr_t>(__executable_start) && address < reinterpret_cast<uintptr_t>(etext);
}

long Trace(__ptrace_request request, pid_t pid, uintptr_t address, uintptr_t data) {
  return ::ptrace(request, pid, reinterpret_cast<void*>(address), reinterpret_cast<void*>(data));
}

user_regs_struct RegistersOf(pid_t pid) {
  user_regs_struct registers{};
  RAYLET_CHECK(Trace(PTRACE_GETREGS, pid, 0, reinterpret_cast<uintptr_t>(&registers)) == 0, "no registers of ", pid);
  return registers;
}

long WordAt(pid_t pid, uintptr_t address) { return Trace(PTRACE_PEEKTEXT, pid, address, 0); }

// Where a function of another library, which has just been called, returns to. Its address is on top of the stack. The
// dynamic linker, which looks a function up at its first call, has two words more there.
uintptr_t ReturnAddress(pid_t pid, uintptr_t stack) {
  for (uintptr_t word = 0; word < 3; ++word) {
    const auto address = static_cast<uintptr_t>(WordAt(pid, stack + word * sizeof(uintptr_t)));
    if (IsOwnCode(address)) return address;
  }
  RAYLET_CHECK(false, "a call into a library that does not return here");
  return 0;
}

}  // namespace

void SteppedChild::Mark() { asm volatile("int3" ::: "memory"); }

SteppedChild::SteppedChild(const std::function<int()>& work) {
  pid_ = ::fork();
  RAYLET_CHECK(pid_ >= 0, "cannot fork");
  if (pid_ == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(125);
    ::_exit(work());
  }
  stopped_ = AwaitStop().has_value();
  if (stopped_) Trace(PTRACE_SETOPTIONS, pid_, 0, PTRACE_O_EXITKILL);
}

SteppedChild::~SteppedChild() { Kill(); }

void SteppedChild::Kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  do {
    if (::waitpid(pid_, &status, 0) < 0) break;
  } while (!WIFEXITED(status) && !WIFSIGNALED(status));
  pid_ = -1;
  stopped_ = false;
}

std::optional<int> SteppedChild::GoOn() {
  RAYLET_CHECK(stopped_, "no child stands anywhere");
  stopped_ = false;
  int status = 0;
  do {  // the second mark may be before it yet
    if (Trace(PTRACE_CONT, pid_, 0, 0) != 0 || ::waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
  if (WIFSTOPPED(status)) return std::nullopt;  // a fault: the destructor kills it
  pid_ = -1;
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

std::optional<uintptr_t> SteppedChild::AwaitStop() {
  int status = 0;
  RAYLET_CHECK(::waitpid(pid_, &status, 0) == pid_, "no child to wait for");
  if (!WIFSTOPPED(status)) {
    pid_ = -1;
    return std::nullopt;
  }
  RAYLET_CHECK(WSTOPSIG(status) == SIGTRAP, "a stepped child was stopped by signal ", WSTOPSIG(status));
  return RegistersOf(pid_).rip;
}

std::optional<uintptr_t> SteppedChild::RunUntil(uintptr_t address) {
  const long before = WordAt(pid_, address);
  Trace(PTRACE_POKETEXT, pid_, address, static_cast<uintptr_t>((before & ~0xffL) | kBreakpoint));
  Trace(PTRACE_CONT, pid_, 0, 0);
  const auto at = AwaitStop();
  if (!at) return at;
  Trace(PTRACE_POKETEXT, pid_, address, static_cast<uintptr_t>(before));
  if (*at != address + 1) return std::nullopt;  // the second mark
  user_regs_struct registers = RegistersOf(pid_);
  registers.rip = address;
  Trace(PTRACE_SETREGS, pid_, 0, reinterpret_cast<uintptr_t>(&registers));
  return address;
}

std::optional<uintptr_t> SteppedChild::Step() {
  Trace(PTRACE_SINGLESTEP, pid_, 0, 0);
  auto at = AwaitStop();
  if (at && !IsOwnCode(*at)) at = RunUntil(ReturnAddress(pid_, RegistersOf(pid_).rsp));
  if (at && *at == reinterpret_cast<uintptr_t>(&SteppedChild::Mark)) return std::nullopt;
  return at;
}

std::vector<StepPlace> SteppedChild::Places() {
  std::vector<StepPlace> places;
  std::unordered_set<uintptr_t> seen;
  while (const auto at = Step()) {
    if (seen.insert(*at).second) {
      places.push_back({.address = *at, .steps = 0});
    } else {
      places.push_back({.address = places.back().address, .steps = places.back().steps + 1});
    }
  }
  return places;
}

bool SteppedChild::RunTo(const StepPlace& place) {
  if (!RunUntil(place.address)) return false;
  for (uint64_t step = 0; step < place.steps; ++step)
    if (!Step()) return false;
  return true;
}

}  // namespace raylet::test
