// ChaosWork: the work that a driver gives to a cluster whose machines are killed meanwhile. Its tasks have results that
// can be checked, inline and stored, and arguments from other machines. Each result is right, or a documented error
// that names its cause, and comes in time. Owned by a driver; one thread.
#pragma once

#include <ray/api.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace cluster_test {

// Bytes that follow from a seed, and the result that they must give.
std::string Block(uint64_t seed, int words);
uint64_t Digest(const std::string& block);
uint64_t DigestAll(const std::vector<ray::ObjectRef<std::string>>& blocks);
// Leaves a line in a file each time that it runs.
int NoteRun(const std::string& folder, int number);
// Returns the number after a while, so that most faults hit a few of these at work.
int Slowly(int ms, int number);

// An actor without state that a restart could lose.
class Digester {
 public:
  static Digester* Create() { return new Digester(); }
  uint64_t Take(const std::string& block) { return Digest(block); }
};

class ChaosWork {
 public:
  // Files about the tasks that ran go to `folder`.
  ChaosWork(uint64_t seed, std::string folder) : random_(seed), folder_(std::move(folder)) {}

  void Submit();
  // Looks at what is ready; false when nothing is asked for any more.
  bool Check();
  // The number of tasks that may run only once and ran more often.
  size_t Repeated() const;

  size_t right() const { return right_; }
  size_t errors() const { return errors_; }
  // One line for each thing that went wrong.
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  struct Pending {
    std::string what;
    std::chrono::steady_clock::time_point since;
    std::function<bool(int timeout_ms)> right;  // throws the error that came instead of the result
  };
  template <class T, class IsRight>
  void Expect(std::string what, ray::ObjectRef<T> ref, IsRight is_right);
  bool Take(const Pending& pending, std::chrono::milliseconds patience);
  void Wrong(const Pending& pending, const std::string& why);
  void SubmitCalls();

  std::mt19937_64 random_;
  const std::string folder_;
  std::deque<Pending> pending_;
  std::vector<std::string> wrong_;
  std::vector<ray::ActorHandle<Digester>> actors_;
  size_t right_ = 0, errors_ = 0;
  int notes_ = 0;
};

}  // namespace cluster_test
