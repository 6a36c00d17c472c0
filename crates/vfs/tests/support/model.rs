//! A file system as simple as it can be: a list of nodes, maps of names, whole files in vectors. Written
//! from the rules, not from the code under test; slow and short.

use crate::ops::{Answer, How, Op, SLOTS, System};
use crate::support::*;

#[derive(Debug)]
enum Thing {
    Dir { parent: usize, names: BTreeMap<String, usize>, removed: bool },
    File(Vec<u8>),
    Link(String),
}

/// The model.
#[derive(Debug)]
pub struct Model {
    things: Vec<Thing>,
    slots: [Option<(usize, bool)>; SLOTS],
}

/// When a link in the last place is followed: never, before a slash, always, unless before a slash.
#[derive(Clone, Copy, PartialEq)]
enum Follow {
    Never,
    Slash,
    Yes,
    NoSlash,
}

/// Where a path leads: the directory, the last name (none for `.` and `..`), what is there.
struct Spot {
    dir: usize,
    name: Option<String>,
    thing: Option<usize>,
    dots: bool,
    slash: bool,
}

impl Default for Model {
    fn default() -> Self {
        let root = Thing::Dir { parent: 0, names: BTreeMap::new(), removed: false };
        Self { things: vec![root], slots: [None; SLOTS] }
    }
}

impl Model {
    fn names(&self, thing: usize) -> Result<&BTreeMap<String, usize>, Errno> {
        match &self.things[thing] {
            Thing::Dir { names, .. } => Ok(names),
            _ => Err(Errno::Notdir),
        }
    }

    fn names_mut(&mut self, thing: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.things[thing] {
            Thing::Dir { names, .. } => names,
            _ => panic!("no directory"),
        }
    }

    fn is_dir(&self, thing: usize) -> bool {
        self.names(thing).is_ok()
    }

    fn links(&self, thing: usize) -> usize {
        let all = self.things.iter().filter_map(|thing| match thing {
            Thing::Dir { names, removed: false, .. } => Some(names.values()),
            _ => None,
        });
        all.flatten().filter(|known| **known == thing).count()
    }

    /// Walks with a list of components that are still to go.
    fn spot(&self, path: &str, follow: Follow) -> Result<Spot, Errno> {
        if path.is_empty() {
            return Err(Errno::Noent);
        }
        let slash = path.ends_with('/');
        let mut todo: Vec<String> = path.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // A link in the last place may bring a slash of its own.
        let mut slash_at_end = slash;
        let (mut trail, mut followed) = (vec![0], 0);
        while let Some(name) = todo.pop() {
            let dir = *trail.last().unwrap();
            let last = todo.is_empty();
            match name.as_str() {
                "." => {}
                ".." => {
                    trail.pop();
                    if trail.is_empty() {
                        return Err(Errno::Perm);
                    }
                }
                _ => {
                    let thing = self.names(dir)?.get(&name).copied();
                    let when = [false, slash_at_end, true, !slash_at_end][follow as usize];
                    let follows = !last || when;
                    match thing.map(|thing| (thing, &self.things[thing])) {
                        Some((_, Thing::Link(target))) if follows => {
                            followed += 1;
                            if followed > 40 {
                                return Err(Errno::Loop);
                            }
                            slash_at_end |= last && target.ends_with('/');
                            todo.extend(target.split('/').rev().filter(|name| !name.is_empty()).map(str::to_owned));
                            continue;
                        }
                        _ if last => {
                            return Ok(Spot { dir, name: Some(name), thing, dots: false, slash: slash_at_end });
                        }
                        Some((thing, Thing::Dir { .. })) => trail.push(thing),
                        Some(_) => return Err(Errno::Notdir),
                        None => return Err(Errno::Noent),
                    }
                    continue;
                }
            }
            if last {
                let dir = *trail.last().unwrap();
                return Ok(Spot { dir, name: None, thing: Some(dir), dots: name == "..", slash: slash_at_end });
            }
        }
        Err(Errno::Noent)
    }

    fn existing(&self, path: &str, follow: bool) -> Result<usize, Errno> {
        let spot = self.spot(path, if follow { Follow::Yes } else { Follow::Slash })?;
        let thing = spot.thing.ok_or(Errno::Noent)?;
        if spot.slash && !self.is_dir(thing) { Err(Errno::Notdir) } else { Ok(thing) }
    }

    fn add(&mut self, spot: Spot, thing: Thing) -> usize {
        let number = self.things.len();
        self.things.push(thing);
        self.names_mut(spot.dir).insert(spot.name.unwrap(), number);
        number
    }

    fn open(&mut self, path: &str, how: How) -> Result<usize, Errno> {
        if how.directory && (how.create || how.exclusive || how.truncate) {
            return Err(Errno::Inval);
        }
        let exclusive = how.create && how.exclusive;
        let follow = match (how.create, how.follow) {
            (true, true) if !exclusive => Follow::NoSlash,
            (true, _) => Follow::Never,
            (false, true) => Follow::Yes,
            (false, false) => Follow::Slash,
        };
        let spot = self.spot(path, follow)?;
        if how.create && spot.slash && spot.name.is_some() {
            return Err(Errno::Isdir);
        }
        let Some(thing) = spot.thing else {
            return match () {
                () if !how.create => Err(Errno::Noent),
                () => Ok(self.add(spot, Thing::File(vec![]))),
            };
        };
        if exclusive {
            return Err(Errno::Exist);
        }
        match &mut self.things[thing] {
            Thing::Link(_) => Err(if how.directory { Errno::Notdir } else { Errno::Loop }),
            Thing::Dir { .. } if how.write || how.create || how.truncate => Err(Errno::Isdir),
            Thing::Dir { .. } => Ok(thing),
            Thing::File(_) if spot.slash || how.directory => Err(Errno::Notdir),
            Thing::File(bytes) => {
                if how.truncate {
                    bytes.clear();
                }
                Ok(thing)
            }
        }
    }

    fn file(&mut self, slot: usize, write: bool) -> Result<&mut Vec<u8>, Errno> {
        let (thing, writable) = self.slots[slot].ok_or(Errno::Badf)?;
        match &mut self.things[thing] {
            _ if write && !writable => Err(Errno::Badf),
            Thing::File(bytes) => Ok(bytes),
            _ => Err(Errno::Isdir),
        }
    }

    fn describe(&self, thing: usize) -> String {
        match &self.things[thing] {
            Thing::Dir { .. } => "directory".into(),
            Thing::File(bytes) => format!("file {} {}", bytes.len(), self.links(thing)),
            Thing::Link(target) => format!("link {} {}", target.len(), self.links(thing)),
        }
    }

    fn is_within(&self, dir: usize, above: usize) -> bool {
        match &self.things[dir] {
            _ if dir == above => true,
            Thing::Dir { parent, .. } if *parent != dir => self.is_within(*parent, above),
            _ => false,
        }
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<(), Errno> {
        let (from, to) = (self.spot(old, Follow::Never)?, self.spot(new, Follow::Never)?);
        let (Some(from_name), Some(to_name)) = (from.name, to.name) else { return Err(Errno::Busy) };
        let thing = from.thing.ok_or(Errno::Noent)?;
        let dir = self.is_dir(thing);
        if (from.slash || to.slash) && !dir {
            return Err(Errno::Notdir);
        }
        if from.dir != to.dir && self.is_within(to.dir, thing) {
            return Err(Errno::Inval);
        }
        if let Some(target) = to.thing {
            if from.dir != to.dir && self.is_within(from.dir, target) {
                return Err(Errno::Notempty);
            }
            if target == thing {
                return Ok(());
            }
            match (self.names(target).map(BTreeMap::len), dir) {
                (Ok(_), false) => return Err(Errno::Isdir),
                (Err(_), true) => return Err(Errno::Notdir),
                (Ok(1..), true) => return Err(Errno::Notempty),
                _ => {}
            }
            if let Thing::Dir { removed, .. } = &mut self.things[target] {
                *removed = true;
            }
        }
        self.names_mut(from.dir).remove(&from_name);
        self.names_mut(to.dir).insert(to_name, thing);
        if let Thing::Dir { parent, .. } = &mut self.things[thing] {
            *parent = to.dir;
        }
        Ok(())
    }

    fn collect(&self, dir: usize, prefix: &str, tree: &mut BTreeMap<String, String>) {
        for (name, thing) in self.names(dir).unwrap() {
            let path = format!("{prefix}{name}");
            let text = match &self.things[*thing] {
                Thing::Dir { .. } => {
                    self.collect(*thing, &format!("{path}/"), tree);
                    "directory".into()
                }
                Thing::File(bytes) => crate::ops::contents(bytes),
                Thing::Link(target) => target.clone(),
            };
            tree.insert(path, text);
        }
    }
}

impl System for Model {
    fn run(&mut self, op: &Op) -> Answer {
        match op {
            Op::Open { slot, path, how } => {
                let thing = self.open(path, *how)?;
                self.slots[*slot] = Some((thing, how.write));
            }
            Op::Close { slot } => {
                self.slots[*slot].take().ok_or(Errno::Badf)?;
            }
            Op::Read { slot, offset, len } => {
                let bytes = self.file(*slot, false)?;
                let start = bytes.len().min(*offset as usize);
                return Ok(crate::ops::contents(&bytes[start..bytes.len().min(start + len)]));
            }
            Op::Write { slot, offset, len, byte } => {
                let bytes = self.file(*slot, true)?;
                let start = *offset as usize;
                if *len > 0 {
                    bytes.resize(bytes.len().max(start + len), 0);
                    bytes[start..start + len].fill(*byte);
                }
                return Ok(len.to_string());
            }
            Op::SetSize { slot, size } => self.file(*slot, true)?.resize(*size as usize, 0),
            Op::Size { slot } => return Ok(self.describe(self.slots[*slot].ok_or(Errno::Badf)?.0)),
            Op::Mkdir(path) => {
                let spot = self.spot(path, Follow::Never)?;
                if spot.thing.is_some() {
                    return Err(Errno::Exist);
                }
                let parent = spot.dir;
                self.add(spot, Thing::Dir { parent, names: BTreeMap::new(), removed: false });
            }
            Op::Rmdir(path) => {
                let spot = self.spot(path, Follow::Never)?;
                let Some(name) = spot.name else {
                    return Err(if spot.dots { Errno::Notempty } else { Errno::Inval });
                };
                let thing = spot.thing.ok_or(Errno::Noent)?;
                if !self.names(thing)?.is_empty() {
                    return Err(Errno::Notempty);
                }
                self.names_mut(spot.dir).remove(&name);
                if let Thing::Dir { removed, .. } = &mut self.things[thing] {
                    *removed = true;
                }
            }
            Op::Unlink(path) => {
                let spot = self.spot(path, Follow::Never)?;
                let thing = spot.thing.ok_or(Errno::Noent)?;
                if self.is_dir(thing) {
                    return Err(Errno::Isdir);
                }
                if spot.slash {
                    return Err(Errno::Notdir);
                }
                self.names_mut(spot.dir).remove(&spot.name.unwrap());
            }
            Op::Rename(old, new) => self.rename(old, new)?,
            Op::Link { old, follow, new } => {
                let thing = self.existing(old, *follow)?;
                let spot = self.spot(new, Follow::Never)?;
                match spot.thing {
                    Some(_) => return Err(Errno::Exist),
                    None if spot.slash => return Err(Errno::Noent),
                    None if self.is_dir(thing) => return Err(Errno::Perm),
                    None => self.names_mut(spot.dir).insert(spot.name.unwrap(), thing),
                };
            }
            Op::Symlink { target, path } => {
                let spot = self.spot(path, Follow::Never)?;
                match spot.thing {
                    Some(_) => return Err(Errno::Exist),
                    None if spot.slash => return Err(Errno::Noent),
                    None => self.add(spot, Thing::Link(target.clone())),
                };
            }
            Op::Readlink(path) => {
                let thing = self.existing(path, false)?;
                let Thing::Link(target) = &self.things[thing] else { return Err(Errno::Inval) };
                return Ok(target.clone());
            }
            Op::Stat { path, follow } => return Ok(self.describe(self.existing(path, *follow)?)),
            Op::List(path) => {
                let names = self.names(self.existing(path, true)?)?;
                let kind = |thing: &usize| match &self.things[*thing] {
                    Thing::Dir { .. } => "Directory",
                    Thing::File(_) => "File",
                    Thing::Link(_) => "Symlink",
                };
                let listed: Vec<_> = names.iter().map(|(name, thing)| format!("{name} {}", kind(thing))).collect();
                return Ok(listed.join(", "));
            }
        }
        Ok(String::new())
    }

    fn tree(&mut self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        self.collect(0, "", &mut tree);
        tree
    }
}
