// A driver for tests of ownership, on the daemons of RAY_ADDRESS. It keeps references beside another driver's keepers.
// It reads orders from the file ORDERS, a line each, and writes one line to the file ANSWERS for each: what is wrong,
// or nothing. Arguments: ORDERS, ANSWERS, and the namespace in which the keepers have their names.
#include <ray/api.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/client/ray/cluster/keeper.h"

namespace {

using cluster_test::Keeper;

std::string Obey(Keeper& mine, const std::string& order) {
  std::istringstream words(order);
  std::string verb, name;
  int number = 0;
  words >> verb;
  if (verb == "take" || verb == "give") words >> name;
  words >> number;
  if (verb == "put") return mine.Put(number) == number ? "" : "it put another";
  if (verb == "submit") return mine.Submit(number) == number ? "" : "it submitted another";
  if (verb == "drop") return mine.Drop(number) == 1 ? "" : "it dropped another";
  if (verb == "drop_all") return mine.DropAll() == 0 ? "" : "it dropped not all";
  if (verb == "check") return mine.Check();
  if (verb == "shared") return mine.Shared();
  const auto keeper = ray::GetActor<Keeper>(name);
  if (!keeper) return "there is no keeper " + name;
  if (verb == "take")
    mine.Keep(*keeper->Task(&Keeper::Give).Remote(std::vector{number}).Get(60'000));
  else
    keeper->Task(&Keeper::Keep).Remote(mine.Give({number})).Get(60'000);
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (std::getenv("RAYLET_WORKER_TOKEN") != nullptr) ray::Init();
  if (argc != 4) return 2;
  ray::RayConfig config;
  config.ray_namespace = argv[3];
  ray::Init(config);
  Keeper mine;
  std::ofstream answers(argv[2]);
  std::ifstream orders(argv[1]);
  for (std::string order; std::getline(orders, order);) {
    std::string wrong;
    try {
      wrong = Obey(mine, order);
    } catch (const std::exception& e) {
      wrong = e.what();
    }
    for (char& each : wrong)
      if (each == '\n') each = ' ';
    answers << wrong << std::endl;
  }
  return 0;
}
