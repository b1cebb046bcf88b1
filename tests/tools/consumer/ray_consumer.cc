// A first program: one task and one actor, with daemons that ray::Init finds in the install prefix.
#include <ray/api.h>

#include <cstdio>

int Add(int a, int b) { return a + b; }

class Counter {
 public:
  static Counter* Create() { return new Counter(); }
  int Increase(int by) { return value_ += by; }

 private:
  int value_ = 0;
};

RAY_REMOTE(Add, Counter::Create, &Counter::Increase);

int main() {
  ray::Init();
  const int sum = *ray::Task(Add).Remote(20, 22).Get();
  auto counter = ray::Actor(Counter::Create).Remote();
  counter.Task(&Counter::Increase).Remote(1).Get();
  const int count = *counter.Task(&Counter::Increase).Remote(2).Get();
  ray::Shutdown();
  std::printf("sum %d, count %d\n", sum, count);
  return sum == 42 && count == 3 ? 0 : 1;
}
