#include "tests/client/ray/api/earlier_session.h"

#include <gtest/gtest.h>

#include <thread>

namespace earlier_session {

int Unchanged(int x) { return x; }
int SumOfAll(const std::vector<ray::ObjectRef<int>>& refs) {
  int sum = 0;
  for (const auto& ref : refs) sum += *ref.Get();
  return sum;
}
double FirstElement(const ray::Array<double>& array) { return array[0]; }

class Lodger {
 public:
  static Lodger* Create(int value) { return new Lodger(value); }
  explicit Lodger(int value) : value_(value) {}
  int Value() { return value_; }
  int Add(int x) { return value_ += x; }
  int ValueThrough(ray::ActorHandle<Lodger> other) { return *other.Task(&Lodger::Value).Remote().Get(); }

 private:
  int value_;
};

RAY_REMOTE(Unchanged, SumOfAll, FirstElement, Lodger::Create, &Lodger::Value, &Lodger::Add, &Lodger::ValueThrough);

struct Things::Handles {
  ray::ObjectRef<int> put = ray::Put(1);
  ray::ObjectRef<std::string> large = ray::Put(std::string(300'000, 'x'));
  ray::ObjectRef<int> pending = ray::Task(Unchanged).SetResource("no such resource", 1).Remote(1);
  ray::ObjectRef<ray::Array<double>> array_ref = ray::Put(ray::MutableArray<double>(4));
  ray::Array<double> array = *array_ref.Get();
  ray::ActorHandle<Lodger> actor = ray::Actor(Lodger::Create).Remote(1);
  std::string put_id = put.ID();
};

Things::Things() : handles_(std::make_unique<Handles>()) { handles_->actor.Task(&Lodger::Value).Remote().Get(); }
Things::~Things() = default;

void Things::ExpectRefused() {
  using ray::internal::RayException;
  const Handles& old = *handles_;
  constexpr int kPatienceMs = 20'000;
  EXPECT_THROW(old.put.Get(), RayException);
  EXPECT_THROW(old.put.Get(kPatienceMs), RayException);
  EXPECT_THROW(old.large.Get(kPatienceMs), RayException);
  EXPECT_THROW(old.pending.Get(kPatienceMs), RayException);
  EXPECT_THROW(ray::Get(std::vector{old.put, ray::Put(2)}, kPatienceMs), RayException);
  EXPECT_THROW(ray::Wait(std::vector{ray::Put(2), old.put}, 2, kPatienceMs), RayException);
  EXPECT_THROW(ray::Task(Unchanged).Remote(old.put), RayException);
  EXPECT_THROW(ray::Task(Unchanged).Remote(old.pending), RayException);
  EXPECT_THROW(ray::Task(SumOfAll).Remote(std::vector{old.put, old.pending}), RayException);
  EXPECT_THROW(ray::Put(std::vector{old.put}), RayException);
  EXPECT_THROW(old.put.ID(), RayException);
  EXPECT_THROW(ray::Actor(Lodger::Create).Remote(old.put), RayException);
  auto actor = ray::Actor(Lodger::Create).Remote(2);
  EXPECT_THROW(actor.Task(&Lodger::Add).Remote(old.put), RayException);

  EXPECT_THROW(old.actor.Task(&Lodger::Value).Remote(), RayException);
  EXPECT_THROW(old.actor.Kill(), RayException);
  EXPECT_THROW(old.actor.ID(), RayException);
  EXPECT_THROW(actor.Task(&Lodger::ValueThrough).Remote(old.actor), RayException);
  EXPECT_THROW(ray::Put(old.actor), RayException);

  EXPECT_EQ(old.array.size(), 4U);
  EXPECT_EQ(old.array.data()[3], old.array[3]) << "an array can still be read";
  EXPECT_THROW(ray::Put(old.array), RayException);
  EXPECT_THROW(ray::Task(FirstElement).Remote(old.array), RayException);
  EXPECT_THROW(ray::ObjectRef<int>(old.put_id).Get(0), RayException) << "lost, or not here: it may be another's";
  try {
    old.put.Get();
  } catch (const RayException& e) {
    EXPECT_NE(std::string(e.what()).find("before the last ray::Shutdown"), std::string::npos) << e.what();
  }
}

void Things::ExpectNewOnesWork() {
  auto actor = ray::Actor(Lodger::Create).Remote(2);
  const auto put = ray::Put(3);
  EXPECT_EQ(*ray::Task(Unchanged).Remote(put).Get(), 3);
  EXPECT_EQ(*actor.Task(&Lodger::Add).Remote(put).Get(), 5);
  const ray::ObjectRef<int> copy = handles_->put;  // copies and moves of old ones do no harm
  EXPECT_THROW(copy.Get(), ray::internal::RayException);
}

}  // namespace earlier_session
