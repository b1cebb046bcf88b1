#include "tests/client/ray/cluster/keeper.h"
#include "tests/harness/await_file.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "client/ray/cluster/cluster_parts.h"

namespace cluster_test {
namespace {

ray::Array<int> ArrayOf(int number) {
  ray::MutableArray<int> array(64);
  for (int& each : array) each = number;
  return std::move(array).Seal();
}

}  // namespace

std::string SleepForEver() {
  for (;;) ::pause();
}

std::string TextOf(int number) {
  return "object " + std::to_string(number) + std::string(number % 3 == 0 ? 100'000 : 10, 'x');
}

std::string SharedHere() {
  using raylet::client::ClusterParts;
  const ClusterParts::Shared shared = ClusterParts::SharedHere();
  if (shared.owned == raylet::client::Ownership::Counts() && shared.borrowings == 0) return "";
  const auto text = [](const char* what, size_t count) { return std::string(what) + std::to_string(count); };
  return text("objects: ", shared.owned.objects) + text(", arrays: ", shared.owned.arrays) +
         text(", claimed: ", shared.owned.claimed) + text(", lends: ", shared.owned.lends) +
         text(", borrowings: ", shared.borrowings);
}

std::string Keeper::Shared() { return SharedHere(); }

int Keeper::Pid() const { return ::getpid(); }

int Keeper::Put(int number) {
  kept_.insert_or_assign(number, ray::Put(TextOf(number)));
  return number;
}

int Keeper::PutBox(int box, const std::vector<int>& numbers) {
  boxes_.insert_or_assign(box, ray::Put(Give(numbers)));
  return box;
}

int Keeper::PutArray(int number) {
  arrays_.insert_or_assign(number, ArrayOf(number));
  return number;
}

int Keeper::Submit(int number) {
  const auto ref = ray::Task(TextOf).Remote(number);
  ray::Wait(std::vector{ref}, 1, 30'000);  // an unmade object ends with its owner
  kept_.insert_or_assign(number, ref);
  return number;
}

int Keeper::SubmitThere(int number) {
  const auto ref = ray::Task(TextOf).SetResource("there", 0.01).Remote(number);
  ray::Wait(std::vector{ref}, 1, 30'000);
  kept_.insert_or_assign(number, ref);
  return number;
}

LargeBox LargeBoxOf(int number) { return {ray::Put(TextOf(number)), std::string(100'000, 'x')}; }
LargeBox Keeper::MakeLargeBox(int number) { return LargeBoxOf(number); }

int Keeper::SubmitLargeBox(int number, const std::string& resource) {
  auto task = ray::Task(LargeBoxOf);
  if (!resource.empty()) task.SetResource(resource, 0.01);
  const auto ref = task.Remote(number);
  ray::Wait(std::vector{ref}, 1, 30'000);
  return KeepLargeBox(number, {ref});
}

int Keeper::CallForLargeBox(int number, ray::ActorHandle<Keeper> actor) {
  const auto ref = actor.Task(&Keeper::MakeLargeBox).Remote(number);
  ray::Wait(std::vector{ref}, 1, 30'000);
  return KeepLargeBox(number, {ref});
}

int Keeper::KeepLargeBox(int number, const std::vector<ray::ObjectRef<LargeBox>>& refs) {
  large_boxes_.insert_or_assign(number, refs.front());
  return number;
}

ray::ObjectRef<LargeBox> Keeper::GiveLargeBox(int number) { return large_boxes_.at(number); }

int Keeper::Keep(const std::map<int, TextRef>& refs) {
  for (const auto& [number, ref] : refs) kept_.insert_or_assign(number, ref);
  return static_cast<int>(refs.size());
}

std::string Keeper::IdOf(int number) { return kept_.at(number).ID(); }

int Keeper::KeepById(int number, const std::string& id) {
  kept_.insert_or_assign(number, TextRef(id));
  return number;
}

TextRef UnkeptRef(const std::string& id) {
  TextRef ref;
  ray::internal::PackedView value;
  value.lend = std::make_shared<int>();
  const ray::internal::UnpackScope scope(value);
  ref.UnpackExtension(id);
  return ref;
}

int Keeper::KeepUnkept(int number, const std::string& id) {
  kept_.insert_or_assign(number, UnkeptRef(id));
  return number;
}

std::string Keeper::PutArrayObject(int number) {
  const auto ref = ray::Put(ArrayOf(number));
  array_objects_.insert_or_assign(number, ref);
  return ref.ID();
}

int Keeper::KeepOne(int number, const std::map<int, TextRef>& refs) {
  kept_.insert_or_assign(number, refs.at(number));
  return number;
}

int Keeper::KeepOneOfTwoBoxes(int number, const std::map<int, TextRef>& box, const std::map<int, TextRef>& other) {
  return KeepOne(number, box.contains(number) ? box : other);
}

int Keeper::KeepOneArray(int number, const std::map<int, ray::Array<int>>& arrays) {
  return KeepArray(number, arrays.at(number));
}

int Keeper::KeepOneActor(const std::vector<ray::ActorHandle<Keeper>>& actors) { return KeepActor(actors.front()); }

int Keeper::KeepBox(int box, const std::vector<ray::ObjectRef<std::map<int, TextRef>>>& refs) {
  boxes_.insert_or_assign(box, refs.front());
  return box;
}

int Keeper::KeepArray(int number, const ray::Array<int>& array) {
  arrays_.insert_or_assign(number, array);
  return number;
}

std::map<int, TextRef> Keeper::Give(const std::vector<int>& numbers) {
  std::map<int, TextRef> given;
  for (const int number : numbers) given.emplace(number, kept_.at(number));
  return given;
}

ray::ObjectRef<std::map<int, TextRef>> Keeper::GiveBox(int box) { return boxes_.at(box); }
ray::Array<int> Keeper::GiveArray(int number) { return arrays_.at(number); }

int Keeper::PassOn(ray::ActorHandle<Keeper> to, const std::vector<int>& numbers) {
  return *to.Task(&Keeper::Keep).Remote(Give(numbers)).Get();
}

ray::ActorHandle<Keeper> Keeper::CreateAnother() { return CreateKeeper(); }
int Keeper::KeepActor(ray::ActorHandle<Keeper> actor) {
  actor_ = std::move(actor);
  return 0;
}
int Keeper::PidOfKept() { return *actor_->Task(&Keeper::Pid).Remote().Get(); }

void Keeper::Exit() { ray::ExitActor(); }
int Keeper::SleepFor(int ms) { return SleepInATask(ms); }
int Keeper::AwaitFile(const std::string& path) {
  raylet::test::AwaitFile(path);
  return 0;
}
ray::ObjectRef<int> Keeper::StartFor(int ms) { return ray::Task(SleepInATask).Remote(ms); }

TextRef Keeper::StartSlowly() { return ray::Task(SleepForEver).Remote(); }

int Keeper::Drop(int number) {
  return static_cast<int>(kept_.erase(number) + boxes_.erase(number) + large_boxes_.erase(number) +
                          arrays_.erase(number) + array_objects_.erase(number));
}

int Keeper::DropAll() {
  kept_.clear();
  boxes_.clear();
  large_boxes_.clear();
  arrays_.clear();
  array_objects_.clear();
  return 0;
}

std::string Keeper::Check() {
  try {
    for (const auto& [number, ref] : kept_)
      if (*ref.Get(30'000) != TextOf(number)) return "object " + std::to_string(number) + " is another";
    for (const auto& [box, ref] : boxes_) {
      const auto content = ref.Get(30'000);
      for (const auto& [number, inner] : *content)
        if (*inner.Get(30'000) != TextOf(number)) return "object " + std::to_string(number) + " in a box is another";
    }
    for (const auto& [number, ref] : large_boxes_)
      if (*ref.Get(30'000)->first.Get(30'000) != TextOf(number))
        return "object " + std::to_string(number) + " in a large box is another";
    for (const auto& [number, array] : arrays_)
      if (array[0] != number || array[63] != number) return "array " + std::to_string(number) + " is another";
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

ray::ActorHandle<Keeper> CreateKeeper() { return ray::Actor(Keeper::Create).Remote(); }
namespace {
std::optional<TextRef> kept_by_tasks;
}
int KeepInThisWorker(int number, const std::map<int, TextRef>& refs) {
  kept_by_tasks = refs.at(number);
  return number;
}
std::string ReadFromThisWorker() { return *kept_by_tasks->Get(20'000); }
int LastOf(const ray::Array<int>& array) { return array[array.size() - 1]; }
int LengthOf(const std::string& text) { return static_cast<int>(text.size()); }
ray::ObjectRef<int> CallFor(ray::ActorHandle<Keeper> keeper, int ms) {
  return keeper.Task(&Keeper::SleepFor).Remote(ms);
}
int GetOnceThereIs(ray::ActorHandle<Keeper> keeper, const std::string& path) {
  return *keeper.Task(&Keeper::AwaitFile).Remote(path).Get();
}
int SleepInATask(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}
TextRef PutInATask(int number) { return ray::Put(TextOf(number)); }
std::pair<int, TextRef> PutAndTellPid(int number) { return {::getpid(), PutInATask(number)}; }
int PassOnThrough(const std::string& name, ray::ActorHandle<Keeper> to, const std::vector<int>& numbers) {
  return *ray::GetActor<Keeper>(name, kNamespace)->Task(&Keeper::PassOn).Remote(to, numbers).Get();
}
TextRef GiveThrough(int number) { return *ray::Task(PutInATask).Remote(number).Get(); }

RAY_REMOTE(Keeper::Create, &Keeper::Pid, &Keeper::Put, &Keeper::PutBox, &Keeper::PutArray, &Keeper::Submit,
           &Keeper::SubmitThere, &Keeper::IdOf, &Keeper::KeepById, &Keeper::KeepUnkept, &Keeper::PutArrayObject,
           &Keeper::Keep, &Keeper::KeepBox, &Keeper::KeepArray, &Keeper::Give, &Keeper::GiveBox, &Keeper::GiveArray,
           &Keeper::PassOn, &Keeper::Drop, &Keeper::DropAll, &Keeper::Check, &Keeper::Shared, TextOf, SleepForEver,
           &Keeper::StartSlowly, &Keeper::CreateAnother, &Keeper::KeepActor, &Keeper::PidOfKept, CreateKeeper,
           PutInATask, GiveThrough, &Keeper::KeepOne, &Keeper::KeepOneOfTwoBoxes, &Keeper::KeepOneArray,
           &Keeper::KeepOneActor, KeepInThisWorker, ReadFromThisWorker, LengthOf, LastOf, PutAndTellPid, PassOnThrough,
           LargeBoxOf, &Keeper::MakeLargeBox, &Keeper::SubmitLargeBox, &Keeper::CallForLargeBox, &Keeper::KeepLargeBox,
           &Keeper::GiveLargeBox, &Keeper::SleepFor, &Keeper::AwaitFile, &Keeper::StartFor, &Keeper::Exit, CallFor,
           GetOnceThereIs, SleepInATask);

}  // namespace cluster_test
