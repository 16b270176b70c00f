//! Everything is killed, cut, filled and set wrong at random, again and again: each result that was made is stored once,
//! or was dropped and counted.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use parallax_tests::clock::Clock;
use parallax_tests::lab::VANTAGES;
use parallax_tests::ledger::Ledger;
use parallax_tests::site::TARGET;
use parallax_tests::world::World;
use parallax_tests::{host, small_disk, wait};

/// Programs that are killed in an ordinary run; `PARALLAX_CHAOS_KILLS` says otherwise.
const KILLS: u32 = 24;
const CHECKS: [&str; 3] = ["works", "together", "fails"];
/// Whose disk is small, and whose clock is wrong.
const FULL: &str = "edge-nyc";
const WRONG: &str = "edge-lon";
/// For all that waits to be told, and said to be told: agents say how they stand each 15 s.
const TO_SETTLE: Duration = Duration::from_secs(120);

#[test]
fn whatever_is_killed_cut_or_full_each_result_is_stored_once() {
    if !host::lab_can_run() {
        return;
    }
    let kills = number("PARALLAX_CHAOS_KILLS").unwrap_or(KILLS.into());
    let seed = number("PARALLAX_CHAOS_SEED").unwrap_or_else(now);
    eprintln!("chaos: {kills} kills, PARALLAX_CHAOS_SEED={seed}");
    let mut chaos = Chaos::begin(seed).unwrap();
    let began = Instant::now();
    while u64::from(chaos.killed) < kills {
        chaos.step().unwrap();
    }
    let lasted = began.elapsed();
    chaos.heal().unwrap();
    let ledger = chaos.settle().unwrap();
    eprintln!(
        "chaos: {} kills in {lasted:?}, {:?}\n{}",
        chaos.killed,
        chaos.done,
        ledger.say()
    );
    ledger.balance().unwrap();
    assert!(ledger.stored() > 100, "{}", ledger.say());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}

struct Chaos {
    world: World,
    clock: Clock,
    random: u64,
    killed: u32,
    /// How often the other things were done.
    done: Done,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Done {
    cuts: u32,
    fillings: u32,
    clock_steps: u32,
}

impl Chaos {
    fn begin(seed: u64) -> Result<Self> {
        let mut world = World::new(&VANTAGES)?;
        let clock = Clock::new(world.site.lab.directory())?;
        for name in VANTAGES {
            world.kill_agent(name)?;
            let witness = "log_filter = \"info,parallax_agent::spool=debug\"\n";
            std::fs::write(world.configuration_of(name), witness)?;
        }
        small_disk::mount_at(&world.site.vantage(FULL)?.host, &world.state_of(FULL), "4m")?;
        world.give_agent(WRONG, clock.variables())?;
        for name in VANTAGES {
            world.start_agent(name)?;
        }
        world.wait_for_agents(&VANTAGES)?;
        world.add_check("works", &["--every", "1s"])?;
        world.add_check("together", &["--every", "1s", "--together"])?;
        world.add_check_of(
            &format!("imaps://{TARGET}:143"),
            "fails",
            &["--every", "1s", "--timeout", "2s"],
        )?;
        Ok(Self {
            world,
            clock,
            random: seed,
            killed: 0,
            done: Done::default(),
            is_cut: false,
        })
    }

    /// One thing goes wrong, or one that went wrong is over; then all of them have a while.
    fn step(&mut self) -> Result<()> {
        match self.below(12) {
            0..=4 => self.kill_an_agent()?,
            5..=6 => self.kill_the_collector()?,
            7..=8 => self.cut_or_heal()?,
            9..=10 => self.fill_or_empty()?,
            _ => self.set_the_clock()?,
        }
        let while_it_lasts = Duration::from_millis(200 + self.below(2000));
        std::thread::sleep(while_it_lasts);
        Ok(())
    }

    fn kill_an_agent(&mut self) -> Result<()> {
        let name = VANTAGES[self.below(VANTAGES.len() as u64) as usize];
        self.world.kill_agent(name)?;
        self.killed += 1;
        let dead = Duration::from_millis(self.below(500));
        std::thread::sleep(dead);
        self.world.start_agent(name)
    }

    fn kill_the_collector(&mut self) -> Result<()> {
        self.world.kill_collector();
        self.killed += 1;
        let dead = Duration::from_millis(self.below(2500));
        std::thread::sleep(dead);
        self.world.start_collector()
    }

    fn cut_or_heal(&mut self) -> Result<()> {
        if self.is_cut {
            return self.mend();
        }
        self.is_cut = true;
        self.done.cuts += 1;
        let how = if self.below(2) == 0 {
            "drop"
        } else {
            "reject with tcp reset"
        };
        self.nft(&format!(
            "table inet chaos {{
             chain incoming {{ type filter hook input priority filter\ntcp dport 7143 {how}\n}}
             chain sent {{ type filter hook output priority filter\ntcp sport 7143 {how}\n}}
             }}"
        ))
    }

    fn mend(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_cut) {
            self.nft("delete table inet chaos")?;
        }
        Ok(())
    }

    fn nft(&self, script: &str) -> Result<()> {
        self.world
            .site
            .lab
            .control
            .feed("nft", &["-f", "-"], format!("{script}\n"))
    }

    fn fill_or_empty(&mut self) -> Result<()> {
        let (host, state) = (&self.world.site.vantage(FULL)?.host, self.world.state_of(FULL));
        if self.done.fillings.is_multiple_of(2) {
            small_disk::fill(host, &state)?;
        } else {
            small_disk::empty(host, &state)?;
        }
        self.done.fillings += 1;
        Ok(())
    }

    fn set_the_clock(&mut self) -> Result<()> {
        self.done.clock_steps += 1;
        let offset = ["+0", "+2h", "-2h"][self.below(3) as usize];
        self.clock.set(offset)
    }

    /// Everything is as it should be.
    fn heal(&mut self) -> Result<()> {
        self.mend()?;
        small_disk::empty(&self.world.site.vantage(FULL)?.host, &self.world.state_of(FULL))?;
        self.clock.set("+0")?;
        self.world.start_collector()?;
        VANTAGES
            .iter()
            .try_for_each(|name| self.world.start_agent(name))?;
        self.world.wait_for_agents(&VANTAGES)
    }

    /// Nothing is made any more, and everything has arrived.
    fn settle(&mut self) -> Result<Ledger> {
        for check in CHECKS {
            self.world.done(&["check", "pause", check])?;
        }
        let mut last = None;
        wait::until("end of what waits", TO_SETTLE, || {
            let ledger = Ledger::read(&self.world, &VANTAGES, &CHECKS)?;
            let said = ledger.balance().map_err(|error| format!("{error:#}"));
            if said.is_ok() {
                return Ok(Some(ledger));
            }
            last = Some(said);
            std::thread::sleep(Duration::from_secs(1));
            Ok(None)
        })
        .map_err(|error| error.context(format!("{last:?}")))
    }

    /// A number below `end`, from the seed: splitmix64.
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
