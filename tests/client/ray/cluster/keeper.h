// Keeper: an actor that keeps references, makes objects, and passes both on. For tests of ownership, in
// programs whose workers they are, too.
#pragma once

#include <ray/api.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cluster_test {

// In which keepers have their names.
constexpr const char* kNamespace = "keepers";

using TextRef = ray::ObjectRef<std::string>;

// The text of an object by its number; its size differs, so that some lie inline and some do not.
std::string TextOf(int number);

std::string SleepForEver();

// A value that refers to an object, and is too large to lie inline.
using LargeBox = std::pair<TextRef, std::string>;
LargeBox LargeBoxOf(int number);

// A reference from a value whose lend keeps nothing, so that the owner may free the object at any time.
TextRef UnkeptRef(const std::string& id);

// What the process that calls it still shares with others; empty: nothing.
std::string SharedHere();

class Keeper {
 public:
  static Keeper* Create() { return new Keeper(); }

  int Pid() const;
  int Put(int number);                                   // makes an object, and keeps it
  int PutBox(int box, const std::vector<int>& numbers);  // an object that refers to others which it keeps
  int PutArray(int number);
  int Submit(int number);       // keeps the result of a task
  int SubmitThere(int number);  // the task has run with the resource "there", and its result lies there
  // A large box with a new object, which keeps the result of a task, or of a call of `actor`. The task runs with this
  // resource; empty: anywhere.
  int SubmitLargeBox(int number, const std::string& resource);
  int CallForLargeBox(int number, ray::ActorHandle<Keeper> actor);
  LargeBox MakeLargeBox(int number);
  int KeepLargeBox(int number, const std::vector<ray::ObjectRef<LargeBox>>& refs);  // of one
  ray::ObjectRef<LargeBox> GiveLargeBox(int number);
  int Keep(const std::map<int, TextRef>& refs);
  int KeepOne(int number, const std::map<int, TextRef>& refs);  // and none of the others
  int KeepOneOfTwoBoxes(int number, const std::map<int, TextRef>& box, const std::map<int, TextRef>& other);
  int KeepBox(int box, const std::vector<ray::ObjectRef<std::map<int, TextRef>>>& refs);  // of one
  int KeepArray(int number, const ray::Array<int>& array);
  int KeepOneArray(int number, const std::map<int, ray::Array<int>>& arrays);
  int KeepOneActor(const std::vector<ray::ActorHandle<Keeper>>& actors);
  std::string IdOf(int number);
  int KeepById(int number, const std::string& id);  // a reference that nobody has lent
  int KeepUnkept(int number, const std::string& id);
  std::string PutArrayObject(int number);  // keeps an object whose value is an array; returns its id
  std::map<int, TextRef> Give(const std::vector<int>& numbers);
  ray::ObjectRef<std::map<int, TextRef>> GiveBox(int box);
  ray::Array<int> GiveArray(int number);
  int PassOn(ray::ActorHandle<Keeper> to, const std::vector<int>& numbers);  // waits until it has them
  ray::ActorHandle<Keeper> CreateAnother();
  int KeepActor(ray::ActorHandle<Keeper> actor);
  int PidOfKept();
  int SleepFor(int ms);  // returns the time
  int AwaitFile(const std::string& path);
  void Exit();
  ray::ObjectRef<int> StartFor(int ms);  // the result of a task that takes this time
  TextRef StartSlowly();                 // returns the result of a task that does not end
  int Drop(int number);                  // drops the object with that number
  int DropAll();
  // Empty where all kept objects are as they were made; otherwise what is wrong.
  std::string Check();
  // What this process still shares with others; empty: nothing.
  std::string Shared();

 private:
  std::map<int, TextRef> kept_;
  std::map<int, ray::ObjectRef<std::map<int, TextRef>>> boxes_;
  std::map<int, ray::ObjectRef<LargeBox>> large_boxes_;
  std::map<int, ray::Array<int>> arrays_;
  std::map<int, ray::ObjectRef<ray::Array<int>>> array_objects_;
  std::optional<ray::ActorHandle<Keeper>> actor_;
};

ray::ActorHandle<Keeper> CreateKeeper();
int LengthOf(const std::string& text);
int LastOf(const ray::Array<int>& array);
ray::ObjectRef<int> CallFor(ray::ActorHandle<Keeper> keeper, int ms);  // of a call that takes this time
int GetOnceThereIs(ray::ActorHandle<Keeper> keeper,
                   const std::string& path);  // waits for its call, which waits for that file
int SleepInATask(int ms);
TextRef PutInATask(int number);                                        // its worker owns it
int KeepInThisWorker(int number, const std::map<int, TextRef>& refs);  // one of them
std::string ReadFromThisWorker();                                      // what it has kept
std::pair<int, TextRef> PutAndTellPid(int number);                     // the same, and the worker's pid
// Has the keeper of that name pass objects on.
int PassOnThrough(const std::string& name, ray::ActorHandle<Keeper> to, const std::vector<int>& numbers);
// Returns an object of a nested task; this task's worker stands between owner and caller.
TextRef GiveThrough(int number);

}  // namespace cluster_test
