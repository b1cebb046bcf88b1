// A driver for tests of more tasks than there is room for, on the daemons of RAY_ADDRESS. Its first argument says what
// it does.
#include <ray/api.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

int Twice(int number) { return 2 * number; }
// The number of tasks that it and its children are.
int Count(int depth, int children);
void AddToCount(std::vector<ray::ObjectRef<int>>& counts, int depth, int children);
using Numbers = std::vector<uint64_t>;
uint64_t Total(Numbers numbers) { return std::accumulate(numbers.begin(), numbers.end(), uint64_t{0}); }

}  // namespace

RAY_REMOTE(Twice, Count, Total);

namespace {

void AddToCount(std::vector<ray::ObjectRef<int>>& counts, int depth, int children) {
  for (int i = 0; i < children; ++i) counts.push_back(ray::Task(Count).Remote(depth, children));
}

int Sum(const std::vector<ray::ObjectRef<int>>& numbers) {
  int sum = 0;
  for (const auto& number : numbers) sum += *number.Get();
  return sum;
}

int Count(int depth, int children) {
  std::vector<ray::ObjectRef<int>> counts;
  if (depth > 0) AddToCount(counts, depth - 1, children);
  return 1 + Sum(counts);
}

// A mebibyte.
Numbers NumbersOf(int seed) {
  Numbers numbers(131'072);
  uint64_t state = static_cast<uint64_t>(seed) + 1;
  for (uint64_t& number : numbers) number = state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return numbers;
}

// More objects than the store's memory holds: in the driver, and as arguments of tasks.
void PutMoreThanFits(int count) {
  std::vector<ray::ObjectRef<Numbers>> refs;
  for (int i = 0; i < count; ++i) refs.push_back(ray::Put(NumbersOf(i)));
  int right = 0, summed = 0;
  for (int i = 0; i < count; ++i) right += *refs[static_cast<size_t>(i)].Get() == NumbersOf(i) ? 1 : 0;
  std::printf("right: %d\n", right);
  std::vector<ray::ObjectRef<uint64_t>> totals;
  for (int i = 0; i < count; i += 16) totals.push_back(ray::Task(Total).Remote(refs[static_cast<size_t>(i)]));
  for (size_t i = 0; i < totals.size(); ++i)
    summed += *totals[i].Get() == Total(NumbersOf(static_cast<int>(i) * 16)) ? 1 : 0;
  std::printf("summed: %d\n", summed);
}

// Until something is thrown.
void SubmitWhatNeverRuns(std::atomic<int>& submitted) {
  std::vector<ray::ObjectRef<int>> tasks;
  try {
    for (;; ++submitted) tasks.push_back(ray::Task(Twice).SetResource("none", 1).Remote(1));
  } catch (const std::exception& e) {
    std::printf("thrown: %s\n", e.what());
  }
}

// At least `fit` are submitted. No further one may be, though time passes.
int UntilItWaits(const std::atomic<int>& submitted, int fit) {
  for (int before = -1; before != submitted || submitted < fit;) {
    before = submitted;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return submitted;
}

}  // namespace

int main(int argc, char** argv) {
  ray::Init();
  if (argc < 2) return 2;
  const std::string what = argv[1];
  if (what == "many" && argc == 3) {
    const int count = std::atoi(argv[2]);
    std::vector<ray::ObjectRef<int>> results;
    results.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) results.push_back(ray::Task(Twice).Remote(i));
    int right = 0;
    for (int i = 0; i < count; ++i) right += *results[static_cast<size_t>(i)].Get() == 2 * i ? 1 : 0;
    std::printf("right: %d\n", right);
  } else if (what == "nested" && argc == 4) {
    std::vector<ray::ObjectRef<int>> counts;
    AddToCount(counts, std::atoi(argv[2]), std::atoi(argv[3]));
    std::printf("counted: %d\n", Sum(counts));
  } else if (what == "spill" && argc == 3) {
    PutMoreThanFits(std::atoi(argv[2]));
  } else if ((what == "full" || what == "shutdown") && argc == 3) {
    std::atomic<int> submitted{0};
    std::thread submitter([&] { SubmitWhatNeverRuns(submitted); });
    std::printf("submitted: %d\n", UntilItWaits(submitted, std::atoi(argv[2])));
    std::fflush(stdout);
    if (what == "shutdown") ray::Shutdown();
    submitter.join();
  } else {
    return 2;
  }
  return 0;
}
